# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where something can be put down: how much of a support is free around a point.

What counts is what the camera sees: a place ends where the support is no longer seen, be it at its edge, at the
image's rim, or because something hides it. Nothing is assumed of what is hidden.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from molmo_ros.geometry import RigidTransform
from molmo_ros.regions.region import Plane, PointsOn, SceneRegions

NEAR = 3
"""A pixel without depth takes that of a neighbour no further away [px]."""
WINDOW = 40
"""Half the edge of the window around a point that the support's noise is measured in [px]."""
LEAST_ABOVE = 0.004
MOST_ABOVE = 0.012
"""What lies further above a support than the noise, but at least and at most this [m], stands on it."""
OVERHANG = 0.15
"""What is higher above the support [m] does not take its room: the next board of a shelf."""
HOLE = 5
"""Holes in the depth of a support that are narrower are no edges [px]."""
STEEPEST = math.radians(15)
"""Nothing is put on a support that is further from level, where the vertical is known."""
STANDS_ON = "the point is on an object, and only supports take something"


@dataclass(frozen=True)
class FreePlace:
    """A place on a support, or why there is none.

    Attributes:
        on: What the point is on.
        reason: Why nothing can be put there; empty where something can.
        position: On the support, in the optical frame [m]; None where there is none.
        support: The plane of the support; None where there is none.
        free_radius: Of the largest disc around the position in which the support is seen and nothing stands [m].
    """

    on: PointsOn
    reason: str = ""
    position: tuple[float, float, float] | None = None
    support: Plane | None = None
    free_radius: float = 0.0

    @property
    def valid(self) -> bool:
        """Whether something can be put there."""
        return not self.reason

    def height(self, target_from_optical: RigidTransform | None = None) -> float:
        """How high the support is at the position: along its normal, above the origin of the target frame [m].

        Args:
            target_from_optical: None stands for the optical frame itself.

        Raises:
            ValueError: There is no place.
        """
        if self.position is None or self.support is None:
            raise ValueError(f"there is no place: {self.reason}")
        to_target = target_from_optical or RigidTransform()
        normal = to_target.rotate(np.array([self.support.normal]))[0]
        return float(normal @ to_target.apply(np.array([self.position]))[0])


def free_places(
    scene: SceneRegions, pixels: np.ndarray, *, up: Sequence[float] | None = None
) -> tuple[FreePlace, ...]:
    """The place at each pixel.

    Only supports take something: the top of an object, however flat, does not.

    Args:
        scene: What the depth image shows; its regions are not needed, but tell where an object is in words.
        pixels: [n, 2] column and row [px], whole numbers at pixel centres.
        up: The vertical in the optical frame, where it is known: supports that are further than `STEEPEST` from
            level, such as a wall, take nothing then.
    """
    places = np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
    labels = scene.labels()
    return tuple(_place(scene, labels, column, row, up) for column, row in places.tolist())


def _place(
    scene: SceneRegions, labels: np.ndarray, column: float, row: float, up: Sequence[float] | None
) -> FreePlace:
    height, width = labels.shape
    if not (math.isfinite(column) and math.isfinite(row)):
        return FreePlace(PointsOn.UNKNOWN, "the point has no pixel")
    c, r = round(column), round(row)
    if not (0 <= c < width and 0 <= r < height):
        return FreePlace(
            PointsOn.UNKNOWN, f"the point ({column:.0f}, {row:.0f}) is outside the image of {width}x{height}"
        )
    if labels[r, c]:
        return FreePlace(PointsOn.OBJECT, STANDS_ON)
    at = _surface_near(scene.surface, c, r)
    if at is None:
        return FreePlace(PointsOn.NOTHING, "nothing here: no surface was measured at the point")
    if not scene.supports:
        return FreePlace(PointsOn.UNKNOWN, "no support is in view")
    window = _around(scene.surface, c, r, WINDOW)
    support, above = _support_at(scene.supports, window, at)
    if support is None:
        if any(0 < plane.heights(at) < OVERHANG for plane in scene.supports):
            return FreePlace(PointsOn.OBJECT, STANDS_ON)
        return FreePlace(PointsOn.NOTHING, "nothing here: the point is not on a support")
    if up is not None and (reason := _tilted(support, up)):
        return FreePlace(PointsOn.SUPPORT, reason, support=support)
    position = at - support.heights(at) * np.asarray(support.normal)
    radius = _free_radius(scene.surface, support, position, above / float(at[2]) ** 2, (c, r))
    if radius <= 0:
        return FreePlace(PointsOn.SUPPORT, "the support is free of nothing at the point", support=support)
    x, y, z = position.tolist()
    return FreePlace(PointsOn.SUPPORT, "", (x, y, z), support, radius)


def _around(image: np.ndarray, column: int, row: int, reach: int) -> np.ndarray:
    return image[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]


def _surface_near(surface: np.ndarray, column: int, row: int) -> np.ndarray | None:
    """float64 [3]: the surface at the pixel, or at the nearest one that has depth; None where none is near."""
    if np.isfinite(surface[row, column]).all():
        return surface[row, column].astype(np.float64)
    near = _around(surface, column, row, NEAR).reshape(-1, 3).astype(np.float64)
    near = near[np.isfinite(near).all(axis=1)]
    return np.median(near, axis=0) if len(near) else None


def _support_at(
    supports: tuple[Plane, ...], window: np.ndarray, at: np.ndarray
) -> tuple[Plane | None, float]:
    """The support that a surface point lies on, and how far above it something else begins [m]."""
    best, best_height, best_above = None, np.inf, 0.0
    for plane in supports:
        heights = plane.heights(window)
        on_plane = heights[np.abs(heights) < MOST_ABOVE]
        noise = 1.4826 * float(np.median(np.abs(on_plane))) if len(on_plane) else 0.0
        above = min(max(4 * noise, LEAST_ABOVE), MOST_ABOVE)
        height = abs(float(plane.heights(at)))
        if height <= above and height < best_height:
            best, best_height, best_above = plane, height, above
    return best, best_above


def _tilted(support: Plane, up: Sequence[float]) -> str:
    """Why nothing stays on a support; empty where it is level enough."""
    vertical = np.asarray(up, dtype=np.float64)
    cosine = float(np.asarray(support.normal) @ vertical / np.linalg.norm(vertical))
    angle = math.acos(min(max(cosine, -1.0), 1.0))
    if angle <= STEEPEST:
        return ""
    return (
        f"the support is {math.degrees(angle):.0f} degrees from level, "
        f"and nothing is put on one of more than {math.degrees(STEEPEST):.0f}"
    )


def _free_radius(
    surface: np.ndarray, support: Plane, position: np.ndarray, above_by_square: float, pixel: tuple[int, int]
) -> float:
    """Distance [m] to the nearest end of the seen support, and to whatever stands on it or hangs over it.

    Args:
        above_by_square: From this height on, divided by the depth's square [1/m], something else begins: the noise
            of depth cameras grows with it.
    """
    heights = support.heights(surface)
    above = above_by_square * np.square(surface[..., 2])
    free = (np.abs(heights) <= above).astype(np.uint8)
    closed = cv2.morphologyEx(free, cv2.MORPH_CLOSE, np.ones((HOLE, HOLE), np.uint8))
    # Noise makes single pixels stand out, things make blocks of them.
    standing = (
        cv2.morphologyEx((heights > above).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    )
    # A hole may be closed over missing depth, never over something that stands there.
    free = np.pad(closed * ~standing, 1)
    if not free[pixel[1] + 1, pixel[0] + 1]:
        return 0.0
    # Only the part around the point: what lies behind a gap is no neighbour.
    parts = cv2.connectedComponents(free, connectivity=4)[1]
    part = (parts == parts[pixel[1] + 1, pixel[0] + 1]).astype(np.uint8)
    rim = (part - cv2.erode(part, np.ones((3, 3), np.uint8)))[1:-1, 1:-1].astype(bool)
    ends = surface[rim & (np.abs(heights) <= above)]
    over = surface[standing & (heights < OVERHANG)]
    nearest = np.inf
    for points in (ends, over):
        if len(points):
            offset = points - position.astype(np.float32)
            along = offset @ np.asarray(support.normal, np.float32)
            nearest = min(nearest, float((np.square(offset).sum(axis=1) - along**2).min()))
    return math.sqrt(max(nearest, 0.0)) if math.isfinite(nearest) else 0.0
