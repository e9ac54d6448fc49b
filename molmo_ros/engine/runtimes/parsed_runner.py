# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The networks that TensorRT parsed, computed in torch: its own understanding of the graphs, without a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.graphs.export import DECODER, VISION
from molmo_ros.engine.graphs.vision_inputs import VisionInputs
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.tensorrt.module import load_tensorrt
from molmo_ros.engine.tensorrt.parsed.interpreter import Interpreter
from molmo_ros.engine.tensorrt.parsed.memory_need import check_memory
from molmo_ros.engine.tensorrt.parsed.parser import ParsedGraph, parse_graph
from molmo_ros.engine.tensorrt.shape_profiles import decoder_profile, vision_profile
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.running.runtime import StepOutput


class ParsedRunner:
    """See `GraphRunner`. Inputs outside the range that an engine is built for are refused as an engine does.

    Attributes:
        interpreters: Of "vision" and "decoder".
    """

    name = "parsed"

    def __init__(
        self,
        vision: ParsedGraph,
        decoder: ParsedGraph,
        config: MolmoConfig,
        shapes: Shapes,
        dtype: torch.dtype,
        *,
        wide: bool = False,
    ) -> None:
        """Makes the cache; computes nothing yet.

        Args:
            vision: What TensorRT made of vision.onnx.
            decoder: What it made of decoder.onnx.
            config: The model's shape.
            shapes: What engines of these are built for.
            dtype: Of the graphs' values.
            wide: Whether to compute in float32 what has 16 bits.

        Raises:
            EngineError: A network is none that can be computed.
        """
        self.device, self.dtype = torch.device("cpu"), torch.float32 if wide else dtype
        self._graphs = (vision, decoder)
        self.interpreters = {
            "vision": Interpreter(vision.network, wide=wide),
            "decoder": Interpreter(decoder.network, wide=wide),
        }
        self._vision_inputs = VisionInputs([one.name for one in vision.network.inputs], self.dtype)
        self._profiles = {
            "vision": vision_profile(config, shapes),
            "decoder": decoder_profile(config, shapes),
        }
        decoder_config = config.decoder
        self._shape = (1, decoder_config.kv_heads, shapes.max_context, decoder_config.head_dim)
        self._names = [
            f"{part}_{layer}" for layer in range(decoder_config.layers) for part in ("key", "value")
        ]
        self._cache: dict[str, Tensor] = {}

    def vision(
        self, crops: Tensor, pooling: Tensor, masks: Tensor | None, colours: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """See `GraphRunner`."""
        inputs = self._vision_inputs.made(self._vision_inputs.sent(crops, pooling, masks, colours))
        found = self._run("vision", inputs, {})
        return found["tokens"], found.get("patches")

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
        if not self._cache:
            self._cache = {
                name: torch.zeros(self._shape, dtype=self.dtype, device=self.device) for name in self._names
            }
        found = self._run("decoder", inputs, {f"past_{name}": one for name, one in self._cache.items()})
        for name, old in self._cache.items():
            new = found[f"present_{name}"]
            aliased = self.interpreters["decoder"].aliases.get(f"present_{name}") == f"past_{name}"
            if aliased != (new.data_ptr() == old.data_ptr()):
                raise EngineError(f"present_{name} is not where an update in place leaves it")
            self._cache[name] = new
        return StepOutput(found["logits"], found.get("states"))

    def decode(self, embedding: Tensor, length: int) -> StepOutput:
        """See `GraphRunner`."""
        mask = torch.ones(1, 1, 1, length + 1, dtype=torch.bool, device=self.device)
        first = torch.zeros(1, dtype=torch.int64, device=self.device)
        position = torch.tensor([[length]], dtype=torch.int64, device=self.device)
        return self.decoder(embedding, position, mask, length, first)

    def memory(self) -> dict[str, int]:
        """See `GraphRunner`."""
        return {"kv_cache": sum(one.nbytes for one in self._cache.values())}

    def _run(self, part: str, inputs: dict[str, Tensor], caches: dict[str, Tensor]) -> dict[str, Tensor]:
        for name, (least, _, most) in self._profiles[part].items():
            found = tuple(inputs[name].shape)
            if len(found) != len(least) or not all(
                low <= size <= high for low, size, high in zip(least, found, most, strict=True)
            ):
                raise EngineError(f"{part} input {name} is {found}; the engine takes {least} to {most}")
        return self.interpreters[part].run(inputs | caches)


def parsed_runner(
    tensorrt: str,
    lowerings: Mapping[str, str],
    folder: Path,
    config: MolmoConfig,
    shapes: Shapes,
    dtype: torch.dtype,
    *,
    wide: bool = False,
) -> ParsedRunner:
    """Has a TensorRT parse the canonical graphs of a folder; they are not needed afterwards.

    Args:
        tensorrt: The module, "tensorrt" or "tensorrt_rtx".
        lowerings: Of each graph by its file's name, "native" or "legacy".
        folder: Holds vision.onnx, decoder.onnx and their weights.
        config: See `ParsedRunner`, as of the rest.

    Raises:
        EngineError: See `load_tensorrt`, `check_memory` and `parse_graph`.
    """
    trt = load_tensorrt(tensorrt)
    paths = [folder / graph for graph in (VISION, DECODER)]
    check_memory(paths, config.decoder, shapes)
    vision, decoder = (parse_graph(trt, path, lowerings[path.name]) for path in paths)
    return ParsedRunner(vision, decoder, config, shapes, dtype, wide=wide)
