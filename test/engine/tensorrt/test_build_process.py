# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the building process does where TensorRT's parser or the machine is not as hoped."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import tensorrt_rtx

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.tensorrt import build_process
from molmo_ros.engine.tensorrt.builder import BuildRequest
from molmo_ros.engine.tensorrt.process_runtime import process_log
from molmo_ros.engine.tensorrt.shape_profiles import decoder_profile


class Deaf:
    """TensorRT for RTX, whose parser refuses what is in a file until it was asked often enough."""

    def __init__(self, refusals: int) -> None:
        self.left = refusals

    def __getattr__(self, name):
        return getattr(tensorrt_rtx, name)

    def OnnxParser(self, network, logger):  # noqa: N802 (TensorRT's name)
        self.left -= 1
        if self.left < 0:
            return tensorrt_rtx.OnnxParser(network, logger)
        return SimpleNamespace(
            parse_from_file=lambda path: False, num_errors=1, get_error=lambda number: f"no {self.left}"
        )


def parsed(trt, folder):
    request = BuildRequest(folder / "decoder.onnx", folder / "engine", "tensorrt_rtx", "native", (8, 6), {})
    logger = process_log(tensorrt_rtx)
    builder = tensorrt_rtx.Builder(logger)
    return build_process._parse(trt, builder, logger, request)


def test_a_parser_without_the_native_layers_gets_older_operators(exported):
    folder = exported("molmo2-4b-tiny").folder
    network, lowering, refused = parsed(Deaf(1), folder)
    assert lowering == "legacy" and len(refused) == 1 and "older operators instead of native" in refused[0]
    kinds = {str(network.get_layer(number).type) for number in range(network.num_layers)}
    assert (
        "LayerType.SCATTER" in kinds
        and not {"LayerType.KV_CACHE_UPDATE", "LayerType.ATTENTION_INPUT"} & kinds
    )
    assert parsed(Deaf(0), folder)[1:] == ("native", [])
    with pytest.raises(EngineError, match="does not take the graph decoder.onnx: no 1"):
        parsed(Deaf(2), folder)


@pytest.mark.parametrize("lowering, advised", [("legacy", True), ("native", False)])
def test_a_build_of_older_operators_that_fails_is_told_of_fp16(
    exported, tmp_path, monkeypatch, lowering, advised
):
    """TensorRT 10.3 may have no bfloat16 for them; the native layers have it everywhere."""

    class Refusing(tensorrt_rtx.Builder):
        def build_serialized_network(self, network, config):
            return None

    monkeypatch.setattr(tensorrt_rtx, "Builder", Refusing)
    folder, config = exported("molmo2-4b-tiny").folder, exported("molmo2-4b-tiny").config
    profile = decoder_profile(config, Shapes(1, 1536, 1536, 1024, 4))
    request = BuildRequest(
        folder / "decoder.onnx", tmp_path / "engine", "tensorrt_rtx", lowering, (8, 6), profile
    )
    with pytest.raises(EngineError, match="TensorRT gave up: ") as refusal:
        build_process._build(request)
    assert ("build with --precision fp16" in str(refusal.value)) == advised
    assert not request.engine.exists()


def test_kernels_leave_most_of_a_memory_that_is_shared(tmp_path, monkeypatch):
    assert build_process._shared_workspace() is None
    (tmp_path / "mark").touch()
    (tmp_path / "meminfo").write_text("MemTotal:  8000 kB\nMemAvailable:    4000 kB\n")
    monkeypatch.setattr(build_process, "JETSON_MARK", tmp_path / "mark")
    monkeypatch.setattr(build_process, "MEMORY", tmp_path / "meminfo")
    assert build_process._shared_workspace() == 4000 * 1024 // 4


GARBAGE = """
import gc, sys
from pathlib import Path

import tensorrt_rtx as trt

from molmo_ros.engine.tensorrt import build_process
from molmo_ros.engine.tensorrt.builder import BuildRequest
from molmo_ros.engine.tensorrt.process_runtime import process_log, process_runtime

def garbage():
    # What an earlier build leaves where an error's traceback holds it in a circle.
    builder = trt.Builder(process_log(trt))
    circle = [builder, builder.create_network(1)]
    circle.append(circle)

def collect(frame, event, argument):
    # In every logger that hears a warning.
    if event == "call" and frame.f_code.co_name == "log" and frame.f_locals["severity"] <= trt.ILogger.WARNING:
        collected.append(gc.collect())

gc.disable()
gc.freeze()
collected = []
garbage()
sys.setprofile(collect)
request = BuildRequest(Path(sys.argv[1]), Path(sys.argv[2]), "tensorrt_rtx", "native", (8, 6), {})
for _ in range(2):
    try:
        build_process._build(request)
    except build_process.EngineError as error:
        print(error)
    garbage()
    assert process_runtime(trt).runtime.deserialize_cuda_engine(b"no engine") is None
print("collected", any(collected), [line for line in process_log(trt).lines if "differs" in line])
"""


def test_garbage_collected_while_tensorrt_speaks_does_not_lock_it(exported, tmp_path):
    """A second logger is warned of under the lock that a builder's end takes: the process would hang for ever."""
    graph = exported("molmo2-4b-tiny").folder / "decoder.onnx"
    ran = subprocess.run(
        [sys.executable, "-c", GARBAGE, graph, tmp_path / "engine"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.stdout.splitlines()[-1:] == ["collected True []"], ran.stdout + ran.stderr
