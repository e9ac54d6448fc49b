# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of a textured patch that goes in a circle over a textured table; its place follows from the stamp alone."""

from __future__ import annotations

import math

import cv2
import numpy as np

TURN = 10
"""Time of one round [s]."""
RADIUS = 0.25
"""Of the circle, in image heights."""
EDGE = 0.2
"""Of the patch, in image heights."""


class MovingPatch:
    """A picture and its truth for every time.

    Args:
        width: Of the picture [px].
        height: Of the picture [px].

    Attributes:
        picture: uint8 [h, w, 3] RGB; `draw` changes it in place.
        drawn: Rows and columns of the patch in it.
    """

    def __init__(self, width: int, height: int) -> None:
        rng = np.random.default_rng(0)
        self._size = width, height
        self._edge = max(8, round(EDGE * height))
        self._table = _texture(rng, width, height, (60, 130, 130))
        self._patch = _texture(rng, self._edge, self._edge, (215, 70, 70))
        self.drawn = slice(0, 0), slice(0, 0)
        self.picture = self._table.copy()

    def center(self, stamp: int) -> tuple[float, float]:
        """Where the patch is at a time [ns]: x, y [px], 0 at the image's left/top edge."""
        left, top = self._corner(stamp)
        return left + self._edge / 2, top + self._edge / 2

    def draw(self, stamp: int) -> None:
        """Make `picture` what a camera sees at a time [ns]."""
        self.picture[self.drawn] = self._table[self.drawn]
        left, top = self._corner(stamp)
        self.drawn = slice(top, top + self._edge), slice(left, left + self._edge)
        self.picture[self.drawn] = self._patch

    def _corner(self, stamp: int) -> tuple[int, int]:
        period = TURN * 1_000_000_000
        angle = 2 * math.pi * (stamp % period) / period
        (width, height), edge = self._size, self._edge
        left = width / 2 + RADIUS * height * math.cos(angle) - edge / 2
        top = height / 2 + RADIUS * height * math.sin(angle) - edge / 2
        return round(left), round(top)


def find_patch(picture: np.ndarray) -> tuple[float, float] | None:
    """The centre of the patch [px], found by its red; None where there is none.

    Args:
        picture: uint8 [h, w, 3] RGB.
    """
    moments = cv2.moments(cv2.inRange(picture, (150, 0, 0), (255, 130, 130)), binaryImage=True)
    if not moments["m00"]:
        return None
    # Moments have 0 at the first pixel's centre.
    return moments["m10"] / moments["m00"] + 0.5, moments["m01"] / moments["m00"] + 0.5


def _texture(rng: np.random.Generator, width: int, height: int, color: tuple[int, ...]) -> np.ndarray:
    """uint8 [h, w, 3] RGB: blotches of about 8 px around a colour."""
    blotches = rng.uniform(-1, 1, (height // 8 + 2, width // 8 + 2)).astype(np.float32)
    shade = cv2.resize(blotches, (width, height), interpolation=cv2.INTER_CUBIC) * 38
    return np.clip(np.asarray(color) + shade[..., None], 0, 255).astype(np.uint8)
