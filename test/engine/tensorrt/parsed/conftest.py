# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""TensorRT's networks of the small models, parsed once for each lowering."""

import pytest

from molmo_ros.engine.tensorrt.module import load_tensorrt
from molmo_ros.engine.tensorrt.parsed.parser import parse_graph


@pytest.fixture(scope="session")
def trt():
    return load_tensorrt("tensorrt_rtx")


@pytest.fixture(scope="session")
def parsed(exported, trt):
    """The graph of a part ("vision", "decoder") of a model by name, as TensorRT has it."""
    made = {}

    def get(name, part, lowering="native"):
        if (name, part, lowering) not in made:
            made[name, part, lowering] = parse_graph(trt, exported(name).folder / f"{part}.onnx", lowering)
        return made[name, part, lowering]

    return get
