# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Tracking against the simulator's truth: a moving camera over tables. benchmarks/tracking.py does it at length."""

import numpy as np
import pytest

from benchmarks.tracking import RATE, SECONDS, TrackingScore, judge, passed_by, views
from molmo_ros.tracking import PointTracker

SEEDS = range(6)
WIDTH, HEIGHT = 160, 120


@pytest.fixture(scope="module")
def scenes():
    return {seed: list(views(seed, WIDTH, HEIGHT)) for seed in SEEDS}


@pytest.fixture(scope="module")
def free(scenes):
    outcome = TrackingScore()
    for frames in scenes.values():
        judge(frames, PointTracker(), outcome)
    return outcome


def test_there_is_something_to_judge(free, scenes):
    assert free.points >= 25 and free.show_at_end >= 20
    assert all(len(frames) == RATE * SECONDS + 1 for frames in scenes.values())


def test_the_median_error_is_small(free):
    assert np.median(free.errors) < 0.015
    assert np.median(free.last_errors) < 0.02


def test_points_stay_on_their_objects(free):
    assert free.wrong / free.reports < 0.02
    assert free.beside / free.reports < 0.03


def test_most_points_that_still_show_are_still_followed(free):
    assert free.survivors / free.show_at_end > 0.8


def test_what_passes_in_front_takes_no_points_along(scenes):
    outcome = TrackingScore()
    for seed, frames in scenes.items():
        judge(passed_by(frames, seed), PointTracker(), outcome)
    assert outcome.losses["COVERED"] + outcome.losses["APPEARANCE"] >= len(SEEDS) / 2
    assert outcome.wrong / outcome.reports < 0.02
    assert np.median(outcome.errors) < 0.015
