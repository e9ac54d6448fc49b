# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The surface around a point that looks alike: which pixels move with it, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

REACH = 0.10
"""A region ends this far from its point; share of the image's width."""
SMALLEST = 0.015
"""Radius of the smallest region; share of the image's width."""
UNKNOWN = 0.04
"""Radius where the surface has no end within reach; share of the image's width."""
FEWEST_PIXELS = 4
"""No radius is smaller, however small the image is [px]."""
STEP = 4
"""Neighbouring pixels of a surface differ by no more than this [gray levels]."""
SPREAD = 30
"""Pixels of a surface differ from its point by no more than this [gray levels]."""
RIM = 3
"""A region is widened by this to hold its own outline [px]."""


@dataclass(frozen=True)
class Region:
    """Where a point's object shows.

    Attributes:
        mask: uint8 [2 radius + 1, 2 radius + 1], 1 where it is; the point in the middle.
        radius: Half of the side of the square about the point that holds it [px].
    """

    mask: np.ndarray
    radius: int

    def sampled(self, grid: np.ndarray) -> np.ndarray:
        """[s] in (0, 1]: how much of it is at places, complex [s], in radii from the point; never quite nothing."""
        at = (1 + 1j + grid) * self.radius
        x, y = at.real.astype(np.float32)[None], at.imag.astype(np.float32)[None]
        return cv2.remap(self.mask.astype(np.float32), x, y, cv2.INTER_LINEAR)[0] * 0.999 + 0.001


def window_about(image: np.ndarray, place: complex, side: int) -> np.ndarray:
    """uint8 [side, side] of an image about a place, whose edge goes on outside of it.

    OpenCV 4.5 and 4.6, as Ubuntu has them, end the process where the place is not a number; such a point is outside
    of every image.
    """
    x, y = np.nan_to_num((place.real, place.imag), nan=-1.0)
    return cv2.getRectSubPix(image, (side, side), (float(x), float(y)))


def grow_region(smooth: np.ndarray, place: complex) -> Region:
    """The surface at a place of a grey image.

    It is filled from the point as far as the brightness changes smoothly, and then widened by `RIM`. A surface that
    goes on past `REACH` on two sides (the table, a wall) becomes a disc of `UNKNOWN` instead.

    Args:
        smooth: uint8 [h, w], slightly blurred.
        place: x + iy, 0 at the first pixel's centre [px].
    """
    width = smooth.shape[1]
    reach, smallest, unknown = (
        max(FEWEST_PIXELS, round(part * width)) for part in (REACH, SMALLEST, UNKNOWN)
    )
    filled = _fill(window_about(smooth, place, 2 * reach + 1))
    open_sides = sum(int(side.any()) for side in (filled[0], filled[-1], filled[:, 0], filled[:, -1]))
    if open_sides >= 2:
        return Region(_disc(unknown, unknown), unknown)
    rim = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RIM + 1, 2 * RIM + 1))
    mask = cv2.dilate(filled, rim) | _disc(smallest, reach)
    rows, columns = np.nonzero(mask)
    radius = int(max(np.abs(rows - reach).max(), np.abs(columns - reach).max()))
    inside = slice(reach - radius, reach + radius + 1)
    return Region(np.ascontiguousarray(mask[inside, inside]), radius)


def _fill(window: np.ndarray) -> np.ndarray:
    """uint8 [s, s]: 1 on the surface that is in the middle of a window."""
    middle = len(window) // 2
    apart = cv2.absdiff(window, np.full_like(window, window[middle, middle])) > SPREAD
    # The flood's own mask has a border of one pixel; what is set in it is a wall.
    filled = np.ones((len(window) + 2, len(window) + 2), np.uint8)
    filled[1:-1, 1:-1] = apart
    cv2.floodFill(window, filled, (middle, middle), 0, STEP, STEP, 4 | cv2.FLOODFILL_MASK_ONLY | 2 << 8)
    return (filled[1:-1, 1:-1] == 2).astype(np.uint8)


def _disc(radius: int, reach: int) -> np.ndarray:
    """uint8 [2 reach + 1, 2 reach + 1] with a disc of 1 in the middle."""
    return cv2.circle(np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8), (reach, reach), radius, 1, -1)
