# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The surface around a point, against shapes that are drawn."""

import cv2
import numpy as np
import pytest

from molmo_ros.tracking.object_region import RIM, UNKNOWN, grow_region

WIDTH = 320


def picture(texture, level=200, radius=20):
    image = texture(240, WIDTH, seed=1) // 3 + 60
    cv2.circle(image, (150, 110), radius, level, -1)
    return cv2.GaussianBlur(image, (7, 7), 1.2)


@pytest.mark.parametrize("level", [10, 200])
@pytest.mark.parametrize("place", [150 + 110j, 158 + 104j])
def test_a_disc_and_its_rim(texture, level, place):
    region = grow_region(picture(texture, level), place)
    rows, columns = np.mgrid[-region.radius : region.radius + 1, -region.radius : region.radius + 1]
    distance = np.hypot(columns + place.real - 150, rows + place.imag - 110)
    assert region.mask[distance < 18].all()
    assert not region.mask[distance > 20 + RIM + 2].any()


def test_a_surface_without_end_becomes_a_disc():
    region = grow_region(np.full((240, WIDTH), 100, np.uint8), 160 + 120j)
    assert region.radius == round(UNKNOWN * WIDTH)
    assert region.mask.sum() == pytest.approx(np.pi * region.radius**2, rel=0.1)


def test_slow_shading_belongs_to_the_surface():
    image = np.full((240, WIDTH), 220, np.uint8)
    image[90:140, 130:180] = np.linspace(80, 120, 50)
    region = grow_region(cv2.GaussianBlur(image, (7, 7), 1.2), 155 + 115j)
    assert region.mask.sum() == pytest.approx((50 + 2 * RIM) ** 2, rel=0.15)


def test_samples_of_the_mask():
    region = grow_region(np.full((240, WIDTH), 100, np.uint8), 160 + 120j)
    inside, outside = region.sampled(np.array([0, 0.5j, 1 + 1j, -1 - 1j])).reshape(2, 2)
    assert (inside > 0.99).all() and (outside < 0.01).all() and (outside > 0).all()
