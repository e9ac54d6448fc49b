"""Points in pixels to points in metres, by depth and calibration that belong to the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from molmo_ros.geometry import DepthSample, PinholeCamera, depth_at
from molmo_ros.geometry.rigid_transform import RigidTransform
from molmo_ros.geometry.surface import surface_normal
from molmo_ros.molmo.answer import Point


@dataclass(frozen=True)
class LocatedPoint:
    """A point of the answer with its place in space.

    Attributes:
        pixel: The point as the model gave it, 0 at the image's left and top edge [px].
        xyz: Its place [m], in the frame that goes with the points; None where there is none.
        spread: Robust standard deviation of the depth there [m].
        normal: Unit normal of the surface there, toward the camera, in the same frame; None where there is none.
        reason: Why `xyz` is None; empty where it is given.
        track_id: Of the object, from 1; 0 where it is not tracked.
    """

    pixel: Point
    xyz: tuple[float, float, float] | None = None
    spread: float = 0.0
    normal: tuple[float, float, float] | None = None
    reason: str = ""
    track_id: int = 0

    def transformed(self, transform: RigidTransform) -> LocatedPoint:
        """The same point in another frame."""
        if self.xyz is None:
            return self
        normal = None if self.normal is None else _triple(transform.rotate(np.array([self.normal]))[0])
        return replace(self, xyz=_triple(transform.apply(np.array([self.xyz]))[0]), normal=normal)


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
    limits: dict[str, Any] = {
        "window": reading.window,
        "minimum": reading.minimum,
        "maximum": reading.maximum,
    }
    sample = depth_at(depth, column, row, **limits)
    located = _located(point, sample, camera, (column, row))
    if located.xyz is None or not reading.normals:
        return located
    return replace(located, normal=surface_normal(depth, camera, column, row, **limits).normal)


def _located(
    point: Point, sample: DepthSample, camera: PinholeCamera, pixel: tuple[float, float]
) -> LocatedPoint:
    if sample.depth is None:
        return LocatedPoint(point, reason=sample.reason)
    x, y, z = camera.deproject(np.array([pixel]), np.array([sample.depth]))[0].tolist()
    if x != x:  # NaN
        return LocatedPoint(point, reason="the lens model has no ray for this pixel")
    return LocatedPoint(point, (x, y, z), sample.spread)


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
