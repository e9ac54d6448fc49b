"""What onnxruntime is refused for."""

import onnxruntime
import pytest

from molmo_ros.engine.errors import EngineError


@pytest.mark.parametrize("version", ["1.25.1", "1.31.1"])
def test_versions_that_are_wrong_with_experts_are_refused(version, exported, monkeypatch):
    mixture, dense = exported("molmoe-1b-tiny"), exported("molmo-7b-d-tiny")
    monkeypatch.setattr(onnxruntime, "__version__", version)
    with pytest.raises(EngineError, match=rf"onnxruntime {version} .*'onnxruntime>=1.32'"):
        mixture.runtime()
    dense.runtime()


@pytest.mark.parametrize("version", ["1.32.0", "1.40.1", "2.0.0"])
def test_later_versions_are_not(version, exported, monkeypatch):
    monkeypatch.setattr(onnxruntime, "__version__", version)
    exported("molmoe-1b-tiny").runtime()
