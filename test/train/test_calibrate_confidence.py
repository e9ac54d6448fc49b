# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Collecting, fitting and reporting, on a few scenes; the figures of the whole run are in docs/confidence.md."""

import numpy as np
import pytest

from molmo_ros import Molmo
from molmo_ros.molmo.pipeline import checkpoint_folder
from molmo_ros.molmo.scoring.confidence_calibration import ConfidenceCalibration, Curve, read_calibration
from molmo_ros.train.calibrate_confidence import (
    FIT_SEED,
    TEST_SEED,
    TOLERANCES,
    arrays,
    candidates,
    collect,
    report,
    scaled,
)
from molmo_ros.train.held_out import HELD_OUT
from molmo_ros.train.reliability import area_under_roc, brier
from molmo_ros.train.scenes import FIRST_SEED


@pytest.fixture(scope="module")
def part():
    return collect(Molmo.from_pretrained("tiny"), 720_000, 25)


def test_points_are_scored_raw_and_judged_by_the_scene(part):
    assert len(part.answers) > 100 and len(part.points) > 100
    used = TOLERANCES.index(0.02)
    for point in part.points:
        assert point.score == point.evidence[used].score(point.not_found)  # what the product would say
        masses = [np.prod(one.near) for one in point.evidence]
        assert masses == sorted(masses)  # a wider tolerance holds more
    assert 0.7 < np.mean([point.right for point in part.points]) < 1
    assert 0.05 < np.mean([answer.right for answer in part.answers]) < 0.4


def test_the_product_tells_right_from_wrong_and_its_calibration_is_no_worse_than_raw(part):
    calibration = read_calibration(checkpoint_folder("tiny"))
    for items, curve, least in (
        (part.points, calibration.point, 0.65),
        (part.answers, calibration.not_found, 0.85),
    ):
        scores, right = arrays(items)
        assert area_under_roc(scores, right) > least
        assert brier(scaled(curve, scores), right) < brier(scores, right) + 0.01


def test_the_report_has_every_candidate_and_bin(part):
    text = report(part, part, ConfidenceCalibration(Curve(1.0, 0.0), Curve(1.0, 0.0), "", {}))
    assert all(f"| {name} |" in text for name in candidates())
    assert text.count("| 0.9 to 1.0 |") == 2 and "nan to" not in text


def test_parts_share_no_scene_with_each_other_with_training_or_with_evaluation():
    fitted = read_calibration(checkpoint_folder("tiny")).fitted_on
    assert fitted["first_seed"] == FIT_SEED
    assert HELD_OUT + 10_000 < 500_000 + 10_000 < FIT_SEED < FIT_SEED + fitted["scenes"] <= TEST_SEED
    assert TEST_SEED + fitted["scenes"] <= FIRST_SEED
