# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Engines of another GPU, another TensorRT and another checkpoint."""

import pytest

from molmo_ros.engine.errors import EngineMismatchError
from molmo_ros.engine.store.compatibility import check_engine

FITS = {"checkpoint_sha256": "c" * 64, "runtime_version": "1.7.1.116", "compute_capability": "8.9"}


def test_what_fits_is_taken(workshop):
    check_engine(workshop.manifest(), **FITS)


@pytest.mark.parametrize("unknown", FITS)
def test_what_is_not_known_is_not_compared(workshop, unknown):
    check_engine(workshop.manifest(), **(FITS | {unknown: None}))


@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [
        ("compute_capability", "8.7", "compute capability 8.9 (rtx40), this machine's has 8.7"),
        ("runtime_version", "1.8.0.1", "built with tensorrt_rtx 1.7.1.116, installed is 1.8.0.1"),
        ("checkpoint_sha256", "d" * 64, "the checkpoint cccccccccccc… (tiny), this one is dddddddddddd…"),
    ],
)
def test_a_difference_is_named_with_the_command_that_rebuilds(workshop, argument, value, expected):
    with pytest.raises(EngineMismatchError) as caught:
        check_engine(workshop.manifest(), **(FITS | {argument: value}))
    message = str(caught.value)
    assert expected in message and message.count(";") == 0
    assert message.endswith(f"Build it again: {workshop.command}")


def test_all_differences_are_named_at_once(workshop):
    with pytest.raises(EngineMismatchError) as caught:
        check_engine(
            workshop.manifest(), checkpoint_sha256="d" * 64, runtime_version="2", compute_capability="12.0"
        )
    assert all(text in str(caught.value) for text in ("dddd", "installed is 2", "has 12.0"))


def test_onnx_runs_on_any_gpu_and_any_onnxruntime_but_not_with_any_checkpoint(workshop):
    manifest = workshop.manifest(runtime="onnx", compute_capability=None, versions={"onnxruntime": "1.32.0"})
    check_engine(manifest, **(FITS | {"runtime_version": "1.33.0", "compute_capability": "9.0"}))
    with pytest.raises(EngineMismatchError, match="checkpoint"):
        check_engine(manifest, **(FITS | {"checkpoint_sha256": "d" * 64}))
