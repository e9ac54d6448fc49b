# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Features lie on the region's corners."""

import numpy as np

from molmo_ros.tracking.features import FEWEST, MOST, choose_features
from molmo_ros.tracking.object_region import Region


def square(top, left, side):
    image = np.full((240, 320), 60, np.uint8)
    image[top : top + side, left : left + side] = 200
    return image


def region(radius):
    return Region(np.ones((2 * radius + 1, 2 * radius + 1), np.uint8), radius)


def test_the_corners_of_a_square_and_the_point_itself():
    offsets, there = choose_features(square(100, 140, 30), np.array([154.5 + 114.5j]), [region(24)])
    found = offsets[there]
    assert found[0] == 0
    for corner in (-15 - 15j, 15 - 15j, -15 + 15j, 15 + 15j):
        assert np.abs(found - corner).min() < 3


def test_corners_outside_of_the_mask_are_left_out():
    mask = np.ones((49, 49), np.uint8)
    mask[:, 24:] = 0
    offsets, there = choose_features(square(100, 140, 30), np.array([154.5 + 114.5j]), [Region(mask, 24)])
    assert there.sum() > 1 and (offsets[there].real <= 1).all()


def test_a_plain_picture_leaves_the_point():
    offsets, there = choose_features(np.full((240, 320), 90, np.uint8), np.array([100 + 100j]), [region(20)])
    assert there.sum() == 1 and there[0, 0] and offsets[0, 0] == 0


def test_very_many_points_get_fewer_each(wide_texture):
    for count, width in ((1, MOST), (5000, FEWEST)):
        offsets, there = choose_features(wide_texture, np.full(count, 100 + 100j), [region(8)] * count)
        assert offsets.shape == there.shape == (count, width)
    assert choose_features(wide_texture, np.zeros(0, complex), [])[0].shape == (0, MOST)
