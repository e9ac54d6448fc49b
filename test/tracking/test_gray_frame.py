# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Frames for the tracker: what is kept, and that pixels find their way there and back."""

import numpy as np
import pytest

from molmo_ros.tracking import GrayFrame


def test_narrow_images_keep_their_size_and_are_copied(wide_texture):
    image = wide_texture.copy()
    frame = GrayFrame.from_image(7, image)
    image[:] = 0
    assert frame.stamp == 7 and frame.size == (640, 480)
    np.testing.assert_array_equal(frame.pixels, wide_texture)


def test_wide_images_are_scaled_down():
    frame = GrayFrame.from_image(0, np.zeros((720, 1280, 3), np.uint8))
    assert frame.pixels.shape == (360, 640) and frame.size == (1280, 720)


def test_gray_of_colours_as_itu_601_says():
    image = np.zeros((2, 3, 3), np.uint8)
    image[:, 0, 0] = image[:, 1, 1] = image[:, 2, 2] = 255
    np.testing.assert_allclose(
        GrayFrame.from_image(0, image).pixels[0], [0.299 * 255, 0.587 * 255, 0.114 * 255], atol=1
    )


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (1283, 717)])
def test_a_square_is_found_where_it_is_drawn(size):
    width, height = size
    image = np.zeros((height, width), np.uint8)
    left, top, side = width // 3, height // 2, 40
    image[top : top + side, left : left + side] = 255
    frame = GrayFrame.from_image(0, image)
    rows, columns = np.mgrid[: frame.pixels.shape[0], : frame.pixels.shape[1]]
    weight = frame.pixels / frame.pixels.sum()
    centre = np.array([[(columns * weight).sum(), (rows * weight).sum()]])
    # Pixels are counted from the image's edge: the square's middle is half its side from its first column's edge.
    np.testing.assert_allclose(frame.to_original(centre)[0], (left + side / 2, top + side / 2), atol=0.1)
    np.testing.assert_allclose(frame.to_index(frame.to_original(centre)), centre)


@pytest.mark.parametrize(
    "shape, kind", [((0, 4), np.uint8), ((4, 4, 4), np.uint8), ((4,), np.uint8), ((4, 4), float)]
)
def test_refuses_what_is_no_image(shape, kind):
    with pytest.raises(ValueError, match="must be uint8"):
        GrayFrame.from_image(0, np.zeros(shape, kind))
