# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import math
from pathlib import Path

import pytest
import yaml

from molmo_ros.node.parameters.declaration import PARAMETERS, SPECS, first_error
from molmo_ros.node.parameters.reference_page import markdown

ROOT = Path(__file__).parents[3]


def test_config_file_holds_every_default():
    given = yaml.safe_load((ROOT / "config" / "molmo.yaml").read_text())["/**"]["ros__parameters"]
    defaults = {spec.name: spec.default for spec in PARAMETERS}
    assert {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()} == defaults
    assert {name: type(v) for name, v in given.items() if not isinstance(v, list)} == {
        name: type(v) for name, v in defaults.items() if not isinstance(v, tuple)
    }


def test_reference_page_is_fresh():
    assert (ROOT / "docs" / "parameters.md").read_text() == markdown(), (
        "run: python -m molmo_ros.node.parameters > docs/parameters.md"
    )


def test_every_default_is_accepted_and_described():
    for spec in PARAMETERS:
        assert spec.error(spec.default) == ""
        assert spec.description.endswith(".")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", 2),
        ("rate", 0.01),
        ("max_points", 10000),
        ("queries", ["what?", "@wrist cube", ""]),
        ("queries", ()),
        ("cameras", ["wrist", "head_2"]),
        ("image_transport", "compressed"),
        ("target_frame", "base_link"),
        ("transform_patience", 1),
        ("dtype", "bfloat16"),
        ("engine", "onnx"),
        ("engine_path", "tiny-rtx40-int4"),
        ("camera_matrix", [600, 600.0, 320.0, 240.0]),
        ("use_sim_time", True),
    ],
)
def test_accepted(name, value):
    assert first_error([(name, value)]) == ""


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rate", 0.0, "0.01 to 100"),
        ("rate", math.nan, "0.01 to 100"),
        ("rate", True, "double"),
        ("rate", "fast", "double"),
        ("max_points", 1.5, "integer"),
        ("max_points", -1, "0 to 10000"),
        ("use_depth", 1, "true or false"),
        ("dtype", "float8", "float32, bfloat16, float16"),
        ("engine", "tensorflow", "auto, torch, onnx, tensorrt"),
        ("queries", ["cube", "ask:"], "empty"),
        ("queries", ["a" * 5000], "at most 4096"),
        ("queries", "cube", "string_array"),
        ("queries", [1], "string_array"),
        ("cameras", [], "at least one"),
        ("cameras", ["wrist", "wrist"], "'wrist' is named twice"),
        ("cameras", ["left/wrist"], "'left/wrist' must begin with a letter"),
        ("image_transport", "theora", "raw, compressed"),
        ("depth_transport", "theora", "raw, compressedDepth, compressed"),
        ("image_bits", 7, "0 or 8 to 16"),
        ("image_bits", 17, "0 to 16"),
        ("image_bits", 10.0, "integer"),
        ("model", None, "string"),
        ("camera_matrix", [1.0, 2.0], "4 numbers"),
        ("camera_matrix", "1234", "4 numbers"),
    ],
)
def test_refused_with_what_is_allowed(name, value, message):
    error = first_error([("max_depth", 3.0), (name, value)])
    assert error.startswith(name)
    assert message in error
    assert len(error) < 300


def test_queries_name_only_cameras_that_there_are():
    assert first_error([("queries", ["@wrist cube", "cube"])], ["wrist", "head"]) == ""
    error = first_error([("rate", 2.0), ("queries", ["cube", "@elbow cube"])], ["wrist", "head"])
    assert error == "queries is refused: there is no camera 'elbow'; cameras: wrist, head"


def test_reference_page_names_every_parameter():
    for name in SPECS:
        assert f"| `{name}` |" in markdown()
