# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Curves, the file beside the weights, and what happens where it does not belong to them."""

import json
import math

import pytest
import torch
from safetensors.torch import save_file

from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.pipeline import Molmo, checkpoint_folder
from molmo_ros.molmo.scoring.confidence_calibration import (
    CALIBRATION,
    ConfidenceCalibration,
    Curve,
    logit,
    read_calibration,
    weights_fingerprint,
    write_calibration,
)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(3)
    save_file({"weights": torch.randn(200_000)}, tmp_path / "model.safetensors")
    curves = Curve(1.5, -0.25), Curve(0.5, -2.0)
    write_calibration(tmp_path, ConfidenceCalibration(*curves, weights_fingerprint(tmp_path), {"points": 3}))
    return tmp_path


def test_what_is_written_is_read(folder):
    calibration = read_calibration(folder)
    assert calibration.point == Curve(1.5, -0.25) and calibration.not_found == Curve(0.5, -2.0)
    assert calibration.fitted_on == {"points": 3}


def test_what_could_not_be_read_is_not_written(tmp_path):
    falling = ConfidenceCalibration(Curve(-0.5, 0.0), Curve(1.0, 0.0), "0" * 64, {})
    with pytest.raises(CheckpointError, match="slope positive"):
        write_calibration(tmp_path, falling)
    assert not (tmp_path / CALIBRATION).exists()


def test_no_file_no_calibration(tmp_path):
    assert read_calibration(tmp_path) is None


@pytest.mark.parametrize("place", [0, 100_000, 199_999])
def test_other_weights_are_told_apart_and_go_uncalibrated(folder, caplog, place):
    """Training moves all of them; a single value is only seen where it is sampled."""
    torch.manual_seed(3)
    weights = torch.randn(200_000)
    weights[place] += 1
    save_file({"weights": weights}, folder / "model.safetensors")
    assert read_calibration(folder) is None
    assert "other weights" in caplog.text and "uncalibrated" in caplog.text


def test_more_shards_are_other_weights(folder):
    before = weights_fingerprint(folder)
    (folder / "model-2.safetensors").write_bytes(b"")
    assert weights_fingerprint(folder) != before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"format": 2}, "format is 2, not 1"),
        ({"point": {"slope": 1.0}}, "slope and offset"),
        ({"point": {"slope": -1.0, "offset": 0.0}}, "slope positive"),
        ({"not_found": {"slope": math.nan, "offset": 0.0}}, "finite"),
        ({"not_found": {"slope": True, "offset": 0.0}}, "finite"),
        ({"point": {"slope": 10**400, "offset": 0.0}}, "finite"),
        ({"not_found": {"slope": 1.0, "offset": -(10**400)}}, "finite"),
        ({"not_found": [1, 2]}, "not_found"),
        ({"weights": 7}, "weights"),
        ({"fitted_on": None}, "fitted_on"),
        ({"mood": 1}, "mood"),
    ],
)
def test_a_damaged_file_is_an_error(folder, change, named):
    document = json.loads((folder / CALIBRATION).read_text())
    (folder / CALIBRATION).write_text(json.dumps(document | change))
    with pytest.raises(CheckpointError, match=named):
        read_calibration(folder)


@pytest.mark.parametrize("content", ["", "[1]", "{", "\x00", "[" * 100_000])
def test_no_object_is_an_error(folder, content):
    (folder / CALIBRATION).write_text(content)
    with pytest.raises(CheckpointError, match=CALIBRATION):
        read_calibration(folder)


def test_curves_rise_within_bounds_and_one_changes_nothing():
    same, other = Curve(1.0, 0.0), Curve(0.4, -2.2)
    scores = [i / 50 for i in range(51)]
    assert [same(score) for score in scores] == pytest.approx(scores, abs=2e-6)
    values = [other(score) for score in scores]
    assert values == sorted(values) and all(0 < value < 1 for value in values)
    assert other(0.5) == pytest.approx(1 / (1 + math.exp(2.2)))
    assert Curve(50.0, 700.0)(1.0) == 1.0 and Curve(50.0, -700.0)(0.0) == pytest.approx(0.0)
    assert logit(0.25) == pytest.approx(-math.log(3))


def test_the_embedded_checkpoint_is_calibrated():
    calibration = read_calibration(checkpoint_folder("tiny"))
    assert calibration is not None
    assert Molmo.from_pretrained("tiny").calibration == calibration
