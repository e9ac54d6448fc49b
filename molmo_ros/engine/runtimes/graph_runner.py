# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What runs the two graphs of an engine, and how it is opened."""

from __future__ import annotations

import importlib
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from molmo_ros.engine.runtime_table import GraphRuntime
from molmo_ros.engine.shapes import Shapes
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.running.runtime import StepOutput

T = TypeVar("T")


class GraphRunner(Protocol):
    """The two graphs of an engine on one device, and the one KV cache that they own.

    Inputs and outputs are those of `graphs/vision_graph.py` and `graphs/decoder_graph.py`; all tensors are on
    `device`, but for a picture's, which may be in memory of the host. Callers keep to the engine's shapes.
    """

    name: str
    """onnx or tensorrt."""
    device: torch.device
    """Where tensors go in and come out."""
    dtype: torch.dtype
    """The graphs' floating-point type."""

    def vision(
        self, crops: Tensor, pooling: Tensor, masks: Tensor | None, colours: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Image features [tokens, width]; with a point head also the patches [crops * patches, feature width].

        Args:
            crops: The views: uint8; or normalised, of any floating-point type, where the graph takes floats.
            pooling: See the graph.
            masks: The graph's coverage, of all crops; None for models without.
            colours: What normalises uint8, see the graph; None with floats.

        Raises:
            ImageError: See `VisionInputs`.
        """

    def decoder(
        self, embeddings: Tensor, positions: Tensor, mask: Tensor, write_index: int, logits_for: Tensor
    ) -> StepOutput:
        """One pass over any number of tokens; the cache keeps their keys and values from `write_index` on."""

    def decode(self, embedding: Tensor, length: int) -> StepOutput:
        """One token [1, 1, width] that sees the first `length` slots and itself, and goes to the next slot."""

    def memory(self) -> dict[str, int]:
        """What each part takes on the device [bytes]."""


class EngineFiles(Protocol):
    """The files of an engine, each as its runtime wants it."""

    def content(self, name: str) -> bytes | mmap.mmap:
        """One file's content.

        Raises:
            EngineError: It cannot be read or trusted.
        """

    def opened(self, open_in: Callable[[Path], T]) -> T:
        """What a library makes of the files that it opens by itself, given their folder.

        Raises:
            EngineError: One cannot be read or trusted, or is another by the time it was opened.
        """


@dataclass(frozen=True)
class RunnerSetup:
    """All that a `GraphRunner` is made of.

    Attributes:
        runtime: What runs it.
        files: The engine's.
        config: The model's shape.
        shapes: What the engine was built for.
        dtype: Of the graphs' values.
        rebuild: The command that builds the engine again, for messages.
        device: As the user named it: a torch device.
        threads: Of the CPU, for one pass; 0 for as many as torch takes.
        home: The engine's folder, where a runtime may keep what it compiles; None for nowhere.
    """

    runtime: GraphRuntime
    files: EngineFiles
    config: MolmoConfig
    shapes: Shapes
    dtype: torch.dtype
    rebuild: str
    device: str = "cpu"
    threads: int = 0
    home: Path | None = None


def open_runner(setup: RunnerSetup) -> GraphRunner:
    """Opens an engine with what runs it; only now its library is imported.

    Raises:
        EngineError: The library is not there or refuses the engine, or its files cannot be trusted.
    """
    module = importlib.import_module(f"molmo_ros.engine.runtimes.{setup.runtime.runner}")
    opener: Callable[[RunnerSetup], GraphRunner] = module.open_runner
    return opener(setup)
