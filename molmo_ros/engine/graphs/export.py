# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A model's two graphs, in a folder or in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.graphs.decoder_graph import decoder_graph
from molmo_ros.engine.graphs.graph_writer import GraphInMemory
from molmo_ros.engine.graphs.vision_graph import vision_graph
from molmo_ros.engine.quantisation.quantised_linear import QuantisedWeights, ReadParameter
from molmo_ros.molmo.config import MolmoConfig

VISION, DECODER = "vision.onnx", "decoder.onnx"


def export_graphs(
    folder: Path,
    config: MolmoConfig,
    max_context: int,
    dtype: torch.dtype,
    read: ReadParameter,
    progress: Callable[[int], None] | None = None,
    quantised: QuantisedWeights | None = None,
    eight_bits: bool = False,
) -> None:
    """Writes vision.onnx and decoder.onnx and their weights; those that are there already are left as they are.

    Args:
        folder: Where; it exists.
        config: The model's shape.
        max_context: Slots of the KV cache.
        dtype: Of weights and activations.
        read: Where parameters come from.
        progress: Called with the number of bytes of each weight that was written.
        quantised: The decoder's layers whose weights are quantised, and where those come from.
        eight_bits: Whether patches of images come in 8 bits, see `ImageStyle.eight_bits`.

    Raises:
        CheckpointError: A parameter cannot be read.
        EngineError: The folder cannot be written to, or its disk is full.
    """
    try:
        if not (folder / VISION).exists():
            vision_graph(config, dtype, read, eight_bits).save(folder / VISION, progress)
        if not (folder / DECODER).exists():
            decoder_graph(config, max_context, dtype, read, quantised).save(folder / DECODER, progress)
    except OSError as error:
        raise EngineError(f"the graphs cannot be written to {folder}: {error.strerror or error}") from error


def graphs_in_memory(
    config: MolmoConfig,
    max_context: int,
    dtype: torch.dtype,
    read: ReadParameter,
    eight_bits: bool = False,
) -> dict[str, GraphInMemory]:
    """Both graphs by their files' names, for a model that is small. Arguments and errors as of `export_graphs`."""
    return {
        VISION: vision_graph(config, dtype, read, eight_bits).in_memory(),
        DECODER: decoder_graph(config, max_context, dtype, read).in_memory(),
    }
