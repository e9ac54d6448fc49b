# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What each target can do, and where it can be built."""

import sys

import pytest

from molmo_ros.engine.errors import EngineError, UnsupportedBuildError
from molmo_ros.engine.targets import GPU_TARGETS, PRECISIONS, find_target
from molmo_ros.engine.tensorrt import module

# What the chips' data sheets and NVIDIA's table of compute capabilities say.
CAPABILITY = {"jetson-orin": "8.7", "jetson-thor": "11.0", "rtx30": "8.6", "rtx40": "8.9", "rtx50": "12.0"}
LACKS = {
    "jetson-orin": {"fp8", "nvfp4"},
    "rtx30": {"fp8", "nvfp4"},
    "rtx40": {"nvfp4"},
    "rtx50": set(),
    "jetson-thor": set(),
}


@pytest.mark.parametrize("name", CAPABILITY)
def test_a_target_has_what_its_chip_has(name):
    target = find_target(name, None)
    assert target.compute_capability == CAPABILITY[name]
    assert set(PRECISIONS) - set(target.precisions) == LACKS[name]
    for precision in target.precisions:
        target.check_precision(precision)
    for precision in LACKS[name]:
        with pytest.raises(
            UnsupportedBuildError, match=f"{name}.*has no {precision}; it has fp16, bf16, int8"
        ):
            target.check_precision(precision)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(UnsupportedBuildError, match="'orin' is not known; .*jetson-orin, jetson-thor, rtx30"):
        find_target("orin", None)
    with pytest.raises(
        UnsupportedBuildError, match="'fp4' is not known; .*fp16, bf16, int8, int4, fp8, nvfp4"
    ):
        find_target("rtx50", None).check_precision("fp4")


def test_a_jetsons_engine_is_built_on_it():
    orin = find_target("jetson-orin", None)
    with pytest.raises(
        UnsupportedBuildError, match="only be built on a Jetson Orin.*no GPU.*rtx30, rtx40, rtx50"
    ):
        orin.check_machine(None)
    with pytest.raises(UnsupportedBuildError, match="has compute capability 8.6"):
        orin.check_machine((8, 6))
    orin.check_machine((8, 7))
    find_target("rtx30", None).check_machine(None)


def test_this_is_the_gpu_that_is_there():
    with pytest.raises(UnsupportedBuildError, match="'this' needs a GPU.*jetson-orin, jetson-thor, rtx30"):
        find_target("this", None)
    hopper = find_target("this", (9, 0), jetson=False)
    assert (
        hopper.runtime.name == "tensorrt" and "fp8" in hopper.precisions and "nvfp4" not in hopper.precisions
    )
    assert find_target("this", (8, 9), jetson=False).runtime.name == "tensorrt_rtx"
    assert find_target("this", (8, 7), jetson=True).runtime.name == "tensorrt"


@pytest.mark.parametrize(
    ("version", "lowering"),
    [
        ("10.3.0", "legacy"),
        ("10.14.1", "legacy"),
        ("10.15.0", "native"),
        ("10.16.0.5", "native"),
        ("11.4", "native"),
    ],
)
def test_lowering_follows_the_version(version, lowering):
    assert GPU_TARGETS["jetson-orin"].lowering(version) == lowering
    assert GPU_TARGETS["rtx30"].lowering("1.7.1.116") == "native"


def test_a_tensorrt_before_jetpack_6_is_refused():
    with pytest.raises(UnsupportedBuildError, match="TensorRT 8.6.1 is older than 10.3"):
        GPU_TARGETS["jetson-orin"].lowering("8.6.1")


def test_a_missing_tensorrt_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert module.installed_version("tensorrt") is None
    with pytest.raises(EngineError, match="tensorrt cannot be imported.*pip install tensorrt-cu12"):
        module.load_tensorrt("tensorrt")
    assert "comes with JetPack, never from pip" in module.advice("tensorrt", jetson=True)
    assert "pip install tensorrt-rtx-cu13" in module.advice("tensorrt_rtx", jetson=True)
