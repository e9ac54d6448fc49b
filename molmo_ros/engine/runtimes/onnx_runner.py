# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The canonical graphs in onnxruntime, on the CPU, over torch tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from molmo_ros.engine.errors import EngineError, EngineMismatchError
from molmo_ros.engine.graphs.vision_inputs import VisionInputs
from molmo_ros.engine.runtimes.graph_runner import RunnerSetup
from molmo_ros.engine.runtimes.signatures import ANY, Signature
from molmo_ros.molmo.config import DecoderConfig
from molmo_ros.molmo.running.runtime import StepOutput

try:
    import onnxruntime
except ImportError as error:
    raise EngineError(
        "engines of onnxruntime need it: pip install 'onnxruntime>=1.32', on Python 3.11 or newer"
    ) from error

if TYPE_CHECKING:
    from molmo_ros.engine.graphs.graph_writer import GraphInMemory

NUMPY = {
    torch.float32: np.float32,
    torch.float16: np.float16,
    torch.uint8: np.uint8,
    torch.int64: np.int64,
    torch.bool: np.bool_,
}
TYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(uint8)": torch.uint8,
    "tensor(int64)": torch.int64,
    "tensor(bool)": torch.bool,
}
"""onnxruntime's names of the types that the graphs' inputs have."""
OF_ANY_DECODER = {
    "positions": Signature(torch.int64, (1, ANY)),
    "mask": Signature(torch.bool, (1, 1, ANY, ANY)),
    "write_index": Signature(torch.int64, (1,)),
    "logits_for": Signature(torch.int64, (ANY,)),
}
QUIET = 3
"""Log level: errors only."""
RIGHT_WITH_EXPERTS = (1, 32)
"""Older versions may write the output of a mixture of experts over its input before they have read that."""


class OnnxRunner:
    """See `GraphRunner`. Outputs are written into torch tensors, and the cache is updated where it lies."""

    name = "onnx"

    def __init__(
        self,
        graphs: Path | Mapping[str, GraphInMemory],
        config: DecoderConfig,
        max_context: int,
        dtype: torch.dtype,
        rebuild: str = "molmo-ros build",
        threads: int = 0,
    ) -> None:
        """Opens vision.onnx and decoder.onnx.

        Args:
            graphs: The folder that holds them and their weights, or they themselves by name.
            config: The decoder's shape.
            max_context: Slots of the cache that the decoder was exported with.
            dtype: What the graphs' values are: float32 or float16.
            rebuild: The command that builds them, for messages.
            threads: Of the CPU, for one pass; 0 for as many as torch takes.

        Raises:
            EngineMismatchError: The graphs are those of another version of this package.
            EngineError: onnxruntime refuses a graph, or is known to be wrong with this model.
        """
        if config.experts:
            _check_experts(onnxruntime.__version__)
        self.device, self.dtype, self._config = torch.device("cpu"), dtype, config
        self._vision, self._decoder = (
            _session(graphs, f"{part}.onnx", threads) for part in ("vision", "decoder")
        )
        cache = Signature(dtype, (1, config.kv_heads, max_context, config.head_dim))
        names = [one.name for one in self._vision.get_inputs()]
        self._vision_inputs = VisionInputs(names, dtype)
        vision = {
            "crops": Signature(torch.uint8 if self._vision_inputs.eight_bits else dtype, (ANY, ANY, ANY)),
            "colours": Signature(torch.float32, (2, ANY)),
            "pooling": Signature(torch.int64, (ANY, ANY)),
            "coverage": Signature(torch.float32, (ANY, ANY)),
        }
        decoder = {"embeddings": Signature(dtype, (1, ANY, config.width))} | {
            f"past_{part}_{layer}": cache for layer in range(config.layers) for part in ("key", "value")
        }
        _check_inputs("vision", self._vision, vision, rebuild)
        _check_inputs("decoder", self._decoder, decoder | OF_ANY_DECODER, rebuild)
        self._has_states = any(output.name == "states" for output in self._decoder.get_outputs())
        self._patches = next(
            (output.shape[1] for output in self._vision.get_outputs() if output.name == "patches"), None
        )
        self._vocab = next(
            output.shape[2] for output in self._decoder.get_outputs() if output.name == "logits"
        )
        self._everything = torch.ones(1, 1, 1, max_context, dtype=torch.bool, device=self.device)
        self._last = torch.zeros(1, dtype=torch.int64, device=self.device)
        shape = (2 * config.layers, 1, config.kv_heads, max_context, config.head_dim)
        self._cache = torch.zeros(shape, dtype=dtype, device=self.device)
        self._binding = self._decoder.io_binding()
        names = [f"{part}_{layer}" for layer in range(config.layers) for part in ("key", "value")]
        for name, tensor in zip(names, self._cache, strict=True):
            # The same memory goes in and comes out, so that a step writes its own slots only.
            self._bind(self._binding.bind_input, f"past_{name}", tensor)
            self._bind(self._binding.bind_output, f"present_{name}", tensor)

    def vision(
        self, crops: Tensor, pooling: Tensor, masks: Tensor | None, colours: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """See `GraphRunner`."""
        binding = self._vision.io_binding()
        inputs = self._vision_inputs.made(self._vision_inputs.sent(crops, pooling, masks, colours))
        tokens = self._empty(len(pooling), self._config.width)
        outputs = {"tokens": tokens}
        if self._patches is not None:
            count = len(crops if masks is None else masks) * crops.shape[1]
            outputs["patches"] = self._empty(count, self._patches)
        self._run(self._vision, binding, inputs, outputs)
        return tokens, outputs.get("patches")

    def decoder(
        self, embeddings: Tensor, positions: Tensor, mask: Tensor, write_index: int, logits_for: Tensor
    ) -> StepOutput:
        """See `GraphRunner`."""
        inputs = {
            "embeddings": embeddings,
            "positions": positions,
            "mask": mask,
            "write_index": torch.tensor([write_index], dtype=torch.int64, device=self.device),
            "logits_for": logits_for,
        }
        outputs = {
            "logits": torch.empty(1, len(logits_for), self._vocab, dtype=torch.float32, device=self.device)
        }
        if self._has_states:
            outputs["states"] = torch.empty_like(embeddings, memory_format=torch.contiguous_format)
        self._run(self._decoder, self._binding, inputs, outputs)
        return StepOutput(outputs["logits"], outputs.get("states"))

    def decode(self, embedding: Tensor, length: int) -> StepOutput:
        """See `GraphRunner`."""
        mask = self._everything[..., : length + 1]
        position = torch.tensor([[length]], dtype=torch.int64, device=self.device)
        return self.decoder(embedding, position, mask, length, self._last)

    def memory(self) -> dict[str, int]:
        """See `GraphRunner`; onnxruntime does not tell what its weights and buffers take."""
        return {"kv_cache": self._cache.nbytes}

    def _empty(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def _run(
        self,
        session: onnxruntime.InferenceSession,
        binding: onnxruntime.IOBinding,
        inputs: dict[str, Tensor],
        outputs: dict[str, Tensor],
    ) -> None:
        inputs = {name: value.contiguous() for name, value in inputs.items()}  # kept until the run is over
        for name, value in inputs.items():
            self._bind(binding.bind_input, name, value)
        for name, value in outputs.items():
            self._bind(binding.bind_output, name, value)
        session.run_with_iobinding(binding)

    def _bind(self, bind: Callable[..., None], name: str, value: Tensor) -> None:
        bind(name, "cpu", 0, NUMPY[value.dtype], tuple(value.shape), value.data_ptr())


def open_runner(setup: RunnerSetup) -> OnnxRunner:
    """An engine of onnxruntime, which opens the files by itself.

    Raises:
        EngineError: See `OnnxRunner`, and `EngineFiles.opened`.
    """
    config, context = setup.config.decoder, setup.shapes.max_context
    return setup.files.opened(
        lambda folder: OnnxRunner(folder, config, context, setup.dtype, setup.rebuild, setup.threads)
    )


def _check_inputs(
    part: str, session: onnxruntime.InferenceSession, expected: Mapping[str, Signature], rebuild: str
) -> None:
    """Makes sure, before anything is allocated, that a graph takes what it will be given."""
    for one in session.get_inputs():
        sizes = tuple(size if isinstance(size, int) else ANY for size in one.shape)
        dtype, wanted = TYPES.get(one.type), expected.get(one.name)
        if dtype is None or wanted is None or not wanted.takes(Signature(dtype, sizes)):
            should = f"should be {wanted}" if wanted else "is not known to this version of molmo_ros"
            raise EngineMismatchError(
                f"the {part} graph is of another model, other limits or another version: its input {one.name} "
                f"({one.type}, {list(one.shape)}) {should}. Build it again: {rebuild}"
            )


def _check_experts(version: str) -> None:
    if tuple(map(int, version.split(".")[:2])) < RIGHT_WITH_EXPERTS:
        wanted = ".".join(map(str, RIGHT_WITH_EXPERTS))
        raise EngineError(
            f"onnxruntime {version} computes mixtures of experts wrongly: pip install 'onnxruntime>={wanted}', or run "
            "this model without an engine"
        )


def _session(
    graphs: Path | Mapping[str, GraphInMemory], name: str, threads: int
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = QUIET
    for kind in ("intra_op", "inter_op"):
        # A thread that spins for the next pass takes a whole core from its machine for as long as it waits.
        options.add_session_config_entry(f"session.{kind}.allow_spinning", "0")
    where, model = name, b""
    if isinstance(graphs, Path):
        where = str(graphs / name)
    else:
        graph = graphs[name]
        model = graph.model
        options.add_external_initializers_from_files_in_memory(
            [graph.location], [graph.weights], [len(graph.weights)]
        )
    try:
        return onnxruntime.InferenceSession(model or where, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base but this
        raise EngineError(f"onnxruntime cannot open {where}: {error}") from error
