# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What onnxruntime is refused for."""

import shutil

import onnx
import onnxruntime
import pytest
import torch

from molmo_ros.engine.errors import EngineError, EngineMismatchError
from molmo_ros.engine.runtimes.onnx_runner import OnnxRunner


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


def test_graphs_of_an_earlier_version_are_refused(exported, tmp_path):
    """They marked the padding of the one view that the tower saw, for all crops alike."""
    model = exported("molmo-7b-d-tiny")
    for path in model.folder.iterdir():
        if path.is_file():
            (tmp_path / path.name).symlink_to(path)
    graph = onnx.load(str(model.folder / "vision.onnx"), load_external_data=False)
    for node in graph.graph.node:
        node.input[:] = ["masks" if name == "coverage" else name for name in node.input]
    next(one for one in graph.graph.input if one.name == "coverage").name = "masks"
    (tmp_path / "vision.onnx").unlink()
    (tmp_path / "vision.weights").unlink()
    shutil.copy(model.folder / "vision.weights", tmp_path)
    onnx.save(graph, str(tmp_path / "vision.onnx"))
    with pytest.raises(
        EngineMismatchError,
        match=r"another version: its input masks .*is not known.*Build it again: molmo-ros build X",
    ):
        OnnxRunner(tmp_path, model.config.decoder, 1536, torch.float32, "molmo-ros build X")
