# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points in pixels to points in metres, by depth and calibration that belong to the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from molmo_ros.geometry import DepthSample, PinholeCamera, depth_at
from molmo_ros.geometry.surface import surface_normal
from molmo_ros.molmo.answer import Point
from molmo_ros.node.records.located_point import LocatedPoint


@dataclass(frozen=True)
class DepthReading:
    """How depth is read around a pixel; see `depth_at`.

    Attributes:
        window: Edge of the square [px].
        minimum, maximum: Depths outside are invalid [m].
        normals: Whether surface normals are wanted.
    """

    window: int = 7
    minimum: float = 0.0
    maximum: float = float("inf")
    normals: bool = False


def locate_points(
    points: Sequence[Point], depth: np.ndarray, camera: PinholeCamera, reading: DepthReading
) -> list[LocatedPoint]:
    """Give every point its place in the optical frame, or the reason why it has none.

    Args:
        points: Points of one answer, about an image of the camera's size.
        depth: [h, w] aligned to that image, uint16 [mm] or floating [m]; `Belonging` has seen to that.
        camera: Intrinsics of that image.
        reading: How depth is read.

    """
    return [_locate(point, depth, camera, reading) for point in points]


def _locate(point: Point, depth: np.ndarray, camera: PinholeCamera, reading: DepthReading) -> LocatedPoint:
    # Molmo's pixel is 0 at the image's edge; calibrations are 0 at the first pixel's centre.
    column, row = point.x - 0.5, point.y - 0.5
    window, minimum, maximum = reading.window, reading.minimum, reading.maximum
    sample = depth_at(depth, column, row, window=window, minimum=minimum, maximum=maximum)
    located = _located(point, sample, camera, (column, row))
    if located.xyz is None or not reading.normals:
        return located
    surface = surface_normal(depth, camera, column, row, window=window, minimum=minimum, maximum=maximum)
    return replace(located, normal=surface.normal)


def _located(
    point: Point, sample: DepthSample, camera: PinholeCamera, pixel: tuple[float, float]
) -> LocatedPoint:
    if sample.depth is None:
        return LocatedPoint(point, reason=sample.reason)
    x, y, z = camera.deproject(np.array([pixel]), np.array([sample.depth]))[0].tolist()
    if x != x:  # NaN
        return LocatedPoint(point, reason="the lens model has no ray for this pixel")
    return LocatedPoint(point, (x, y, z), sample.spread)
