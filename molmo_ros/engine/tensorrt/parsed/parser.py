# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""TensorRT's parser, for networks that are read and not built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.tensorrt.builder import lowered_path
from molmo_ros.engine.tensorrt.lowering import lower_file
from molmo_ros.engine.tensorrt.parsed.network_reader import read_network
from molmo_ros.engine.tensorrt.parsed.parsed_network import ParsedNetwork
from molmo_ros.engine.tensorrt.process_runtime import process_runtime


@dataclass(frozen=True)
class ParsedGraph:
    """A network, and what has its weights.

    Attributes:
        network: What was read back.
        definition: TensorRT's own, an INetworkDefinition.
        holders: What must live as long as the network is used.
    """

    network: ParsedNetwork
    definition: Any
    holders: tuple[Any, ...]


def parse_graph(trt: ModuleType, graph: Path, lowering: str) -> ParsedGraph:
    """Lowers a canonical graph as a build does, has TensorRT parse it, and reads back what that made of it.

    Args:
        trt: The TensorRT module.
        graph: With its weights beside it.
        lowering: "native" or "legacy".

    Raises:
        EngineError: The graph or its weights cannot be read, TensorRT refuses it, or made a layer of it that is not
            known.
    """
    lowered = lowered_path(graph)
    try:
        lower_file(graph, lowered, lowering)
        return parse_lowered(trt, lowered)
    except OSError as error:
        raise EngineError(f"{graph} cannot be read: {error.strerror or error}") from error
    finally:
        lowered.unlink(missing_ok=True)


def parse_lowered(trt: ModuleType, path: Path) -> ParsedGraph:
    """As `parse_graph`, of a file that TensorRT takes as it is."""
    logger = process_runtime(trt).log
    builder = trt.Builder(logger)
    definition = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(definition, logger)
    if not parser.parse_from_file(str(path)):
        errors = "; ".join(str(parser.get_error(number)) for number in range(parser.num_errors))
        raise EngineError(f"TensorRT does not take the graph {path.name}: {errors or 'it gave no reason'}")
    return ParsedGraph(read_network(trt, definition), definition, (builder, parser))
