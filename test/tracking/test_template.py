# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Patches found again, against warps that OpenCV makes."""

import cv2
import numpy as np
import pytest

from molmo_ros.tracking.template import GRID, Templates, changed, correlation, sample

PLACE, RADIUS = np.array([150 + 110j]), np.array([24.0])
WEIGHTS = np.full((1, len(GRID)), 1 / len(GRID), np.float32)


@pytest.fixture
def image(wide_texture):
    return wide_texture[:240, :320].copy()


@pytest.mark.parametrize("shift", [0, 2.5 - 1j, -3 + 2.25j])
@pytest.mark.parametrize("angle, scale", [(0, 1), (4, 1.0), (-3, 1.06)])
def test_align_finds_the_similarity(image, shift, angle, scale):
    matrix = cv2.getRotationMatrix2D((150, 110), angle, scale)
    matrix[:, 2] += (np.real(shift), np.imag(shift))
    warped = cv2.warpAffine(image, matrix, (320, 240), flags=cv2.INTER_CUBIC)
    templates = Templates(sample(image, PLACE, RADIUS), WEIGHTS)
    place, turn = templates.align(warped, PLACE, np.ones(1, complex), RADIUS)
    # OpenCV's angles go against the clock, where y points down.
    assert abs(place[0] - PLACE[0] - shift) < 0.15
    assert abs(turn[0] - scale * np.exp(-1j * np.radians(angle))) < 0.02


def test_align_leaves_what_is_already_there(image):
    templates = Templates(sample(image, PLACE, RADIUS), WEIGHTS)
    place, turn = templates.align(image, PLACE, np.ones(1, complex), RADIUS)
    assert place[0] == PLACE[0] and turn[0] == 1


def test_correlation_is_that_of_numpy_and_blind_to_light(image):
    one, other = sample(image, PLACE, RADIUS), sample(image, PLACE + 4, RADIUS)
    assert correlation(one, other, WEIGHTS)[0] == pytest.approx(np.corrcoef(one[0], other[0])[0, 1], abs=1e-4)
    assert correlation(one, 0.5 * one + 30, WEIGHTS)[0] == pytest.approx(1, abs=1e-4)
    assert correlation(one, np.full_like(one, 77), WEIGHTS)[0] == pytest.approx(0, abs=1e-4)


def test_changed_counts_samples_in_the_middle_only(image):
    one = sample(image, PLACE, RADIUS)
    rim, middle = one.copy(), one.copy()
    rim[:, np.abs(GRID) > 1.3] += 60
    middle[:, (np.abs(GRID) < 0.4) & (GRID.real > 0)] += 120
    assert changed(one, rim, WEIGHTS, 0.4, 20)[0] == 0
    assert 0.3 < changed(one, middle, WEIGHTS, 0.4, 20)[0] < 0.7
    assert changed(one, 0.8 * one + 10, WEIGHTS, 0.4, 20)[0] == 0


def test_samples_are_bilinear_and_the_border_is_repeated():
    ramp = np.tile(np.arange(100, dtype=np.uint8), (50, 1))
    patch = sample(ramp, np.array([50.25 + 20j]), np.array([6.0]))[0]
    np.testing.assert_allclose(patch, 50.25 + 6 * GRID.real, atol=0.51)
    assert sample(ramp, np.array([-40 - 40j]), np.array([6.0])).max() == 0


def test_some_and_joined_and_renewed(image):
    places = PLACE + np.array([0, 30, 60])
    patches, weights = sample(image, places, np.full(3, 24.0)), np.repeat(WEIGHTS, 3, axis=0)
    all_three = Templates(patches, weights)
    again = all_three[np.array([True, False, True])].joined(all_three[np.array([False, True, False])])
    np.testing.assert_array_equal(again.patches, patches[[0, 2, 1]])
    renewed = all_three.renewed(np.array([False, True, False]), patches[::-1] + 1)
    np.testing.assert_array_equal(renewed.patches, [patches[0], patches[1] + 1, patches[2]])


@pytest.mark.parametrize("shift", [3 + 1j, -4 + 2j, 5 - 3j])
@pytest.mark.parametrize("size, tolerance", [(26, 0.15), (23, 0.6)])
def test_align_follows_the_object_and_not_the_background_at_its_rim(
    image, wide_texture, shift, size, tolerance
):
    background, seen = wide_texture[240:480, :320], []
    for dx, dy in ((0, 0), (int(shift.real), int(shift.imag))):
        mask = cv2.circle(np.zeros_like(image), (150 + dx, 110 + dy), size, 255, -1)
        seen.append(np.where(mask > 0, np.roll(image, (dy, dx), (0, 1)), background))
    templates = Templates(sample(seen[0], PLACE, RADIUS), WEIGHTS)
    place, _ = templates.align(seen[1], PLACE, np.ones(1, complex), RADIUS)
    assert abs(place[0] - PLACE[0] - shift) < tolerance
