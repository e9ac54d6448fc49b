# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What can run a model: every choice of the user and every runtime of an engine, once.

The node's parameters, the command line, manifests and the docs read these tables. Nothing is imported here, so that
they can be read before any library is there.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GraphRuntime:
    """What runs the two graphs of an engine.

    Attributes:
        name: As in manifests.
        package: The Python module that it needs.
        files: What its engines consist of, the manifest not counted.
        gpu: Whether it needs a GPU, and its engines the one that they were built for.
        runner: The module of `engine/runtimes/` whose `open_runner` makes its `GraphRunner`. Named, not imported: it
            imports `package`.
    """

    name: str
    package: str
    files: tuple[str, ...]
    gpu: bool
    runner: str


GRAPHS = ("vision.onnx", "vision.weights", "decoder.onnx", "decoder.weights")
PLANS = ("vision.engine", "decoder.engine")
ONNXRUNTIME = GraphRuntime("onnx", "onnxruntime", GRAPHS, gpu=False, runner="onnx_runner")
TENSORRT = GraphRuntime("tensorrt", "tensorrt", PLANS, gpu=True, runner="tensorrt_runner")
TENSORRT_RTX = GraphRuntime("tensorrt_rtx", "tensorrt_rtx", PLANS, gpu=True, runner="tensorrt_runner")
RUNTIMES = {one.name: one for one in (ONNXRUNTIME, TENSORRT, TENSORRT_RTX)}


@dataclass(frozen=True)
class EngineChoice:
    """One value of the node's parameter `engine`, of `--engine` and of `load_molmo`.

    Attributes:
        name: What the user writes.
        meaning: What then runs the model.
        runtimes: Those whose engines it opens; none where it takes no engine.
        target: What to build for where it finds no engine.
    """

    name: str
    meaning: str
    runtimes: tuple[GraphRuntime, ...] = ()
    target: str = ""

    @property
    def gpu(self) -> bool:
        """Whether it cannot do without a GPU."""
        return any(runtime.gpu for runtime in self.runtimes)


AUTO, TORCH, ONNX, REMOTE = "auto", "torch", "onnx", "remote"
ENGINES = {
    one.name: one
    for one in (
        EngineChoice(AUTO, "onnxruntime for a small model in float32 on the CPU, else torch"),
        EngineChoice(TORCH, "torch, from the checkpoint, on the CPU or a GPU"),
        EngineChoice(ONNX, "onnxruntime on the CPU", (ONNXRUNTIME,), target="onnx"),
        EngineChoice("tensorrt", "TensorRT, or TensorRT for RTX", (TENSORRT, TENSORRT_RTX), target="this"),
        EngineChoice(
            REMOTE, "a server on the network, with a model of its own; neither weights nor torch here"
        ),
    )
}
PARSED = EngineChoice(
    "parsed", "the networks that TensorRT for RTX parsed from the checkpoint's graphs, in torch: for tests"
)
HIDDEN = {PARSED.name: PARSED}
"""Values that `--engine` and `load_molmo` take and no list shows."""
