# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What passes in front: where it is, and that the truth says so."""

import numpy as np
import pytest

from benchmarks.occluder import OCCLUDER, Occluder
from molmo_ros.sim.renderer import Rendering


@pytest.fixture
def frame():
    shape = (120, 160)
    return Rendering(
        np.zeros((*shape, 3), np.uint8), np.ones(shape, np.float32), np.full(shape, 2, np.int32), np.eye(3)
    )


def box(**changes):
    parts = {
        "center": np.array([60.0, 50.0]),
        "time": 1.0,
        "velocity": np.array([20.0, 0.0]),
        "sides": (20.0, 30.0),
    }
    return Occluder(**(parts | {"angle": 0.0, "round": False, "color": np.full(3, 200.0)} | changes))


@pytest.mark.parametrize("seconds", [1.0, 2.5])
def test_it_is_where_its_motion_takes_it(frame, seconds):
    hidden = box().before(frame, seconds, np.random.default_rng(0)).segmentation == OCCLUDER
    rows, columns = np.nonzero(hidden)
    assert (columns.mean(), rows.mean()) == pytest.approx((60 + 20 * (seconds - 1), 50), abs=0.6)
    assert (np.ptp(columns), np.ptp(rows)) == pytest.approx((20, 30), abs=1)


def test_an_ellipse_has_the_area_of_one(frame):
    hidden = box(round=True).before(frame, 1.0, np.random.default_rng(0)).segmentation == OCCLUDER
    assert hidden.sum() == pytest.approx(np.pi / 4 * 20 * 30, rel=0.1)


def test_colour_depth_and_truth_change_together_and_the_frame_stays(frame):
    covered = box().before(frame, 1.0, np.random.default_rng(0))
    hidden = covered.segmentation == OCCLUDER
    np.testing.assert_array_equal(hidden, covered.depth < 0.5)
    np.testing.assert_array_equal(hidden, covered.rgb.max(axis=2) > 100)
    assert frame.rgb.max() == 0 and frame.depth.min() == 1 and frame.segmentation.max() == 2


def test_a_random_one_covers_its_pixel_at_its_time(frame):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        occluder = Occluder.random(np.array([70.5, 40.5]), 0.5, 160, rng)
        assert occluder.before(frame, 0.5, rng).segmentation[40, 70] == OCCLUDER
