# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A point of an answer with its place in space."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from molmo_ros.geometry.rigid_transform import RigidTransform
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

    def transformed(self, target_from_own: RigidTransform) -> LocatedPoint:
        """The same point in another frame, the target."""
        if self.xyz is None:
            return self
        normal = None if self.normal is None else _triple(target_from_own.rotate(np.array([self.normal]))[0])
        return replace(self, xyz=_triple(target_from_own.apply(np.array([self.xyz]))[0]), normal=normal)


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
