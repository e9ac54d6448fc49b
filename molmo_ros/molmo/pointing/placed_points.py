# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points in fractions of a prompt's images, to pixels of the image that they are in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from molmo_ros.molmo.answer import Point

NUMBER = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)")
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
BEYOND = 0.5
"""How far outside of a video a moment may lie [s]: the interval at which the models see most videos."""


class PlacedPoints:
    """The points of an answer so far.

    Attributes:
        points: In the text's order, pixels of the original image; points outside the image are dropped.
    """

    def __init__(self, image_sizes: Sequence[tuple[int, int]], times: Sequence[float] | None) -> None:
        """Starts without points. Arguments and errors as of `parse_points`."""
        if not image_sizes:
            raise ValueError("image_sizes is empty: points need the size of at least one image")
        if times is not None and len(times) != len(image_sizes):
            raise ValueError(f"{len(times)} times for {len(image_sizes)} frames")
        self._times = times
        self._sizes = [(int(h), int(w)) for h, w in image_sizes]
        self.points: list[Point] = []

    def image_of(self, group: str) -> int | None:
        """Which image the number of a group of coordinates means, from 0; None where there is no such image."""
        if len(self._sizes) == 1:
            return 0
        if self._times is not None:
            return frame_at(float(group), self._times) if NUMBER.fullmatch(group) else None
        number = int(group) if WHOLE_NUMBER.fullmatch(group) else 0
        return number - 1 if 1 <= number <= len(self._sizes) else None

    def add(self, x: float, y: float, label: str, index: int | None = None, image: int = 0) -> None:
        """Takes a point in fractions of the image; drops it where it lies outside."""
        if x > 1 or y > 1:
            return
        height, width = self._sizes[image]
        number = len(self.points) + 1 if index is None else index
        self.points.append(Point(x * width, y * height, label, number, image))

    def name(self, first: int, label: str) -> None:
        """Labels the points from number `first` (from 0) on."""
        self.points[first:] = [replace(point, label=label) for point in self.points[first:]]


def frame_at(seconds: float, times: Sequence[float]) -> int | None:
    """The frame that a model means by a moment [s], from 0.

    Models are told times rounded to a tenth, and repeat them: the first frame with that tenth, else the nearest
    (the earlier one where two are). None for a moment more than `BEYOND` before the first or after the last.
    """
    tenth = f"{seconds:.1f}"
    for frame, time in enumerate(times):
        if f"{time:.1f}" == tenth:
            return frame
    if not times[0] - BEYOND <= seconds <= times[-1] + BEYOND:
        return None
    return min(range(len(times)), key=lambda frame: abs(times[frame] - seconds))
