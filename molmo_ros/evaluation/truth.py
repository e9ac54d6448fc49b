# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is right: a region of the picture, objects in it, a polygon, or a word."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class MaskTruth:
    """Right points lie in it.

    Attributes:
        mask: bool [h, w], of the picture's size.
        count: How many points there must be; None where that is not asked for.
    """

    mask: np.ndarray
    count: int | None = None


@dataclass(frozen=True)
class ObjectsTruth:
    """Each is to be pointed at once.

    Attributes:
        masks: bool [n, h, w], of the picture's size; none where there is nothing to point at.
        points: float [n, 2], where annotators have pointed at each [px].
    """

    masks: np.ndarray
    points: np.ndarray


@dataclass(frozen=True)
class PolygonTruth:
    """Right points lie in it.

    Attributes:
        corners: float [n, 2] as parts of the picture's width and height, in 0..1.
        size: Height and width of the picture [px].
    """

    corners: np.ndarray
    size: tuple[int, int]

    def contains(self, x: float, y: float) -> bool:
        """Whether a point [px] lies in it: a ray to the right crosses an odd number of edges.

        Of points on the border those on a left or upper edge belong to it, so that neighbours share none.
        """
        height, width = self.size
        px, py = x / width, y / height
        inside = False
        for (x0, y0), (x1, y1) in zip(self.corners, np.roll(self.corners, 1, axis=0), strict=True):
            if (y0 > py) != (y1 > py) and px < (x1 - x0) * (py - y0) / (y1 - y0) + x0:
                inside = not inside
        return inside


@dataclass(frozen=True)
class WordTruth:
    """The answer begins with this word."""

    word: str


Truth = MaskTruth | ObjectsTruth | PolygonTruth | WordTruth


def regions_of(truth: Truth, size: tuple[int, int]) -> np.ndarray:
    """uint16 [h, w], for a picture of that size: the number of the region that a pixel is of, from 1; else 0."""
    labels = np.zeros(size, np.uint16)
    if isinstance(truth, MaskTruth):
        labels[truth.mask] = 1
    elif isinstance(truth, ObjectsTruth):
        for number, mask in enumerate(truth.masks, 1):
            labels[mask] = number
    elif isinstance(truth, PolygonTruth):
        corners = np.rint(truth.corners * size[::-1]).astype(np.int32)
        filled = np.zeros(size, np.uint8)
        cv2.fillPoly(filled, [corners.reshape(-1, 1, 2)], 1)
        labels[filled > 0] = 1
    return labels
