# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Disturbed views: other pixels, and a truth that follows them."""

import numpy as np
import pytest

from molmo_ros.sim.renderer import Rendering, render
from molmo_ros.sim.scene import Scene
from molmo_ros.train.disturbance import DISTURBANCES, LEAST_PIXELS, visible


@pytest.fixture(scope="module")
def frame():
    return render(Scene.random(33_000), 320, 240)


@pytest.mark.parametrize("name", DISTURBANCES)
def test_views_are_of_the_same_kind_and_repeatable(frame, name):
    rgb, segmentation = frame.rgb.copy(), frame.segmentation.copy()
    one, other = (DISTURBANCES[name](frame, np.random.default_rng(4)) for _ in range(2))
    assert one.rgb.shape == frame.rgb.shape and one.rgb.dtype == np.uint8
    assert one.segmentation.shape == frame.segmentation.shape
    assert np.array_equal(one.rgb, other.rgb) and np.array_equal(one.segmentation, other.segmentation)
    assert np.array_equal(frame.rgb, rgb) and np.array_equal(frame.segmentation, segmentation)


@pytest.mark.parametrize("name", ["plain", "noisy", "dark", "blurred"])
def test_these_move_nothing(frame, name):
    assert np.array_equal(
        DISTURBANCES[name](frame, np.random.default_rng(4)).segmentation, frame.segmentation
    )


def test_what_is_covered_is_gone_and_nothing_else(frame):
    seen = DISTURBANCES["covered"](frame, np.random.default_rng(4))
    changed = seen.segmentation != frame.segmentation
    assert changed.any() and (seen.segmentation[changed] == -1).all()
    # Where the truth changed, the picture did: a box of one gray has hardly any texture left, but noise.
    assert np.ptp(seen.rgb[changed].astype(int), axis=-1).mean() < 12


def test_the_small_view_shows_the_same_objects_smaller(frame):
    seen = DISTURBANCES["small"](frame, np.random.default_rng(4))
    before, after = ((one.segmentation >= 0).sum() for one in (frame, seen))
    assert 0.2 * before < after < 0.8 * before
    for index in np.unique(frame.segmentation)[1:]:
        mean = [one.rgb[one.segmentation == index].mean(axis=0) for one in (frame, seen)]
        assert np.abs(mean[0] - mean[1]).max() < 12


def test_invisible_objects_are_left_out_and_the_rest_renumbered():
    segmentation = np.full((20, 30), -1, np.int32)
    segmentation[:10, :10], segmentation[10:12, :10], segmentation[:10, 20:] = 0, 1, 2
    assert (segmentation == 1).sum() < LEAST_PIXELS < (segmentation == 2).sum()
    blank = np.zeros((20, 30, 3), np.uint8)
    frame = Rendering(blank, blank[..., 0].astype(np.float32), segmentation, np.eye(3))
    seen, names = visible(frame, [("red", "cube"), ("blue", "ball"), ("green", "mug")])
    assert names == [("red", "cube"), ("green", "mug")]
    assert np.array_equal(seen.segmentation == 1, segmentation == 2)
    assert (seen.segmentation[segmentation == 1] == -1).all() and (
        seen.segmentation[segmentation == -1] == -1
    ).all()
