# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What computing a parsed network takes, told before it starts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import prod
from pathlib import Path

import onnx

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.tensorrt.parsed.interpreter import KEPT
from molmo_ros.molmo.config import DecoderConfig

MEMINFO = Path("/proc/meminfo")
COPIES = 3
"""Of the largest value, in float32: what goes into a layer, and what comes out."""


class NotEnoughMemoryError(EngineError):
    """A parsed network needs more memory than is free."""


def check_memory(graphs: Iterable[Path], config: DecoderConfig, shapes: Shapes) -> None:
    """Refuses networks that this machine has no room for.

    Args:
        graphs: Canonical ones, which will be held at the same time.
        config: The decoder's shape.
        shapes: What the engine takes.

    Raises:
        NotEnoughMemoryError: Says how much is needed, and how much there is.
        EngineError: A graph, or its file of weights, cannot be read or is too short.
    """
    needed, free = needed_memory(graphs, config, shapes), available()
    if needed > free:
        raise NotEnoughMemoryError(
            f"computing the parsed networks takes about {needed / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free"
        )


def needed_memory(graphs: Iterable[Path], config: DecoderConfig, shapes: Shapes) -> int:
    """Bytes: weights as TensorRT has them, the cache, and the largest values of a pass in float32.

    Arguments and errors as of `check_memory`.
    """
    weights = largest = 0
    for path in graphs:
        try:
            model = onnx.load(str(path), load_external_data=False)
        except Exception as error:  # protobuf's errors have no common base
            raise EngineError(f"{path} cannot be read as a graph: {error!s:.200}") from error
        for one in model.graph.initializer:
            largest = max(largest, prod(one.dims))
            where = {entry.key: entry.value for entry in one.external_data}
            if not where:
                weights += len(one.raw_data)
                continue
            weights += int(where["length"])
            file = path.with_name(where["location"])
            end, there = int(where["offset"]) + int(where["length"]), _size(file)
            if end > there:
                raise EngineError(
                    f"{file} has {there} bytes; the weight {one.name} ends at {end}: it is missing or cut short. "
                    "Export it again"
                )
    scores = config.heads * shapes.max_prompt * shapes.max_context
    cache = 2 * config.layers * config.kv_heads * shapes.max_context * config.head_dim
    # The cache twice: networks of older TensorRTs do not update it in place.
    return int(weights + 4 * (COPIES * max(largest, scores) + 2 * cache) + KEPT)


def available() -> int:
    """Bytes of memory that programs may have."""
    found = re.search(r"MemAvailable: *(\d+) kB", MEMINFO.read_text())
    return int(found[1]) * 1024 if found else 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
