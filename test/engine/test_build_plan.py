# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is refused before any work, and whether the estimate is near what comes out."""

from pathlib import Path

import pytest
import torch

from benchmarks.rounded_parameters import RoundedParameters
from molmo_ros.engine.build_plan import BuildPlan
from molmo_ros.engine.errors import UnsupportedBuildError
from molmo_ros.engine.graphs.export import export_graphs
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.weights.stored_parameters import StoredParameters

VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tiny", "rtx60"), "'rtx60' is not known; it must be one of jetson-orin, .*rtx50, this, onnx"),
        (("tiny", "rtx30", "fp8"), "rtx30 .*has no fp8; it has fp16, bf16, int8, int4"),
        (("tiny", "rtx40", "nvfp4"), "has no nvfp4"),
        (("tiny", "rtx40", "fp7"), "'fp7' is not known; it must be one of fp16"),
        (("tiny", "jetson-orin"), "only be built on a Jetson Orin"),
        (("tiny", "this"), "needs a GPU"),
        (("tiny", "onnx", "int4"), "'int4' is not for target onnx"),
        ((str(VECTORS / "molmoe-1b-tiny"), "rtx30", "int4"), "mixture of experts.*fp16 or bf16"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(UnsupportedBuildError, match=message):
        BuildPlan.make(*arguments)


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(UnsupportedBuildError, match="max_context 200 is too small"):
        BuildPlan.make("tiny", "onnx", max_context=200)
    with pytest.raises(CheckpointError, match="neither a checkpoint folder nor"):
        BuildPlan.make("nobody", "onnx")


def test_the_command_builds_the_same_again():
    plan = BuildPlan.make("tiny", "rtx40", "int4", max_crops=2, max_context=640)
    assert plan.command == (
        "molmo-ros build tiny --target rtx40 --precision int4 --max-crops 2 --max-context 640"
    )
    assert plan.name == "tiny-rtx40-int4-crops2-context640"
    assert BuildPlan.make("tiny", "rtx40").command == "molmo-ros build tiny --target rtx40 --precision bf16"


@pytest.mark.parametrize(
    ("model", "target", "precision"),
    [
        ("tiny", "onnx", None),
        ("tiny", "rtx40", "fp16"),
        ("tiny", "rtx40", "int4"),
        ("tiny", "rtx40", "int8"),
        (str(VECTORS / "molmo-7b-d-tiny"), "onnx", None),
        (str(VECTORS / "molmoe-1b-tiny"), "onnx", None),
        (str(VECTORS / "molmopoint-8b-tiny"), "onnx", None),
    ],
)
def test_weights_are_as_large_as_was_said(model, target, precision, tmp_path):
    """Rotary tables and padding to pages come on top, which are small only in models that are not."""
    plan = BuildPlan.make(model, target, precision, max_crops=2)
    stored = StoredParameters(plan.checkpoint)

    def read(name):
        return stored.read(name, torch.float32)

    quantised = None
    if plan.quantised:
        quantised = RoundedParameters(plan.config.decoder, plan.precision, plan.dtype, read)
    export_graphs(tmp_path, plan.config, plan.shapes.max_context, plan.dtype, read, quantised=quantised)
    size = sum(path.stat().st_size for path in tmp_path.glob("*.weights"))
    weights = 120 + 13 * (plan.config.vision.blocks_used + plan.config.decoder.layers)
    tables = 2 * 4 * plan.shapes.max_context * plan.config.decoder.head_dim
    point_head = sum(count for name, count in plan.sizes.items() if name.startswith("point_head."))
    assert plan.weight_bytes() - 4 * point_head <= size <= 1.1 * plan.weight_bytes() + weights * 4096 + tables
    assert plan.estimate().engine >= plan.weight_bytes()
