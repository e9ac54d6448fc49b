"""The surface around a point that looks alike: which pixels move with it, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

REACH = 0.10
"""A region ends this far from its point; share of the image's width."""
SMALLEST = 0.015
"""Half of the smallest region's side; share of the image's width."""
UNKNOWN = 0.04
"""Half of the side where the surface has no end within reach; share of the image's width."""
STEP = 4
"""Neighbouring pixels of a surface differ by no more than this, blurred [gray levels]."""
SPREAD = 30
"""Pixels of a surface differ from its point by no more than this [gray levels]."""
RIM = 3
"""The region is widened by this to hold its own outline [px]."""


@dataclass(frozen=True)
class Region:
    """Where a point's object shows.

    Attributes:
        mask: uint8 [2 reach + 1, 2 reach + 1], 1 where it is; the point in the middle.
        radius: Half of the side of the square about the point that holds it [px].
    """

    mask: np.ndarray
    radius: float


def grow_region(blurred: np.ndarray, x: float, y: float) -> Region:
    """The surface at a place of a slightly blurred grey image [h, w] (0 at the first pixel's centre).

    It is filled from the point as far as the brightness changes smoothly, and then widened by `RIM`. A point whose
    surface goes on past `REACH` on two sides (the table, a wall) gets a disc of `UNKNOWN` instead.
    """
    height, width = blurred.shape
    reach = max(8, round(REACH * width))
    window = cv2.getRectSubPix(blurred, (2 * reach + 1, 2 * reach + 1), (x, y))
    level = int(window[reach, reach])
    # The flood's own mask has a border of one pixel; what is set in it is a wall.
    filled = np.pad((np.abs(window.astype(np.int16) - level) > SPREAD).astype(np.uint8), 1, constant_values=1)
    cv2.floodFill(window, filled, (reach, reach), 0, STEP, STEP, 4 | cv2.FLOODFILL_MASK_ONLY | 2 << 8)
    mask = (filled[1:-1, 1:-1] == 2).astype(np.uint8)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    open_sides = (rows[0] == 0) + (rows[-1] == 2 * reach) + (columns[0] == 0) + (columns[-1] == 2 * reach)
    if open_sides >= 2:
        radius = max(4, round(UNKNOWN * width))
        mask = cv2.circle(np.zeros_like(mask), (reach, reach), radius, 1, -1)
        return Region(mask, radius)
    mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RIM + 1, 2 * RIM + 1)))
    smallest = max(4, round(SMALLEST * width))
    mask = cv2.circle(mask, (reach, reach), smallest, 1, -1)
    extent = max(np.abs(np.flatnonzero(mask.any(axis=axis)) - reach).max() for axis in (0, 1))
    return Region(mask, float(extent))


def sampled_mask(region: Region, grid: np.ndarray) -> np.ndarray:
    """[s] in (0, 1]: how much of the region is at places, complex [s], in units of its radius; never quite nothing."""
    at = len(region.mask) // 2 * (1 + 1j) + grid * region.radius
    x, y = at.real.astype(np.float32)[None], at.imag.astype(np.float32)[None]
    return cv2.remap(region.mask.astype(np.float32), x, y, cv2.INTER_LINEAR)[0] * 0.999 + 0.001
