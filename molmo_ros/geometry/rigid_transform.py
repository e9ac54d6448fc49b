# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A rigid transform between two frames: a rotation, then a translation.

Variables are named after both frames: `target_from_optical` takes points of the optical frame to the target frame, and
in `target_from_body @ body_from_optical` equal names meet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from molmo_ros.geometry import quaternion
from molmo_ros.geometry.quaternion import Quaternion

# A quaternion further from unit length is no rounding error but a mistake, such as angles in its fields.
NORM_TOLERANCE = 0.01


class TransformError(ValueError):
    """A transform that cannot be used or does not exist; the message is a sentence for people."""


@dataclass(frozen=True)
class RigidTransform:
    """Takes a point p of the source frame to rotation * p + translation in the target frame.

    Attributes:
        translation: Origin of the source frame, in the target frame [m].
        rotation: Unit quaternion (x, y, z, w) of the source frame's axes, in the target frame. Its
            length is made exactly 1.

    Raises:
        TransformError: A value is not finite, or the quaternion is not of unit length within 1 %.
    """

    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: Quaternion = (0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        tx, ty, tz = _finite(self.translation, "translation", 3)
        x, y, z, w = _finite(self.rotation, "rotation", 4)
        length = math.hypot(x, y, z, w)
        if abs(length - 1) > NORM_TOLERANCE:
            raise TransformError(
                f"the rotation ({x:g}, {y:g}, {z:g}, {w:g}) has length {length:.3g}: "
                "a rotation is a quaternion (x, y, z, w) of length 1"
            )
        object.__setattr__(self, "translation", (tx, ty, tz))
        object.__setattr__(self, "rotation", (x / length, y / length, z / length, w / length))

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Points [n, 3] of the source frame, in the target frame [m]."""
        return self.rotate(points) + np.array(self.translation)

    def rotate(self, vectors: np.ndarray) -> np.ndarray:
        """Directions [n, 3] of the source frame, in the target frame; lengths are kept."""
        return np.asarray(vectors, dtype=np.float64).reshape(-1, 3) @ quaternion.to_matrix(self.rotation).T

    def inverse(self) -> RigidTransform:
        """The transform from the target frame to the source frame."""
        back = RigidTransform(rotation=quaternion.conjugate(self.rotation))
        x, y, z = (-back.apply(np.array([self.translation]))[0]).tolist()
        return RigidTransform((x, y, z), back.rotation)

    def __matmul__(self, first: RigidTransform) -> RigidTransform:
        """`first`, followed by this one: b_from_c @ c_from_d = b_from_d."""
        x, y, z = self.apply(np.array([first.translation]))[0].tolist()
        return RigidTransform((x, y, z), quaternion.product(self.rotation, first.rotation))

    def interpolate(self, end: RigidTransform, fraction: float) -> RigidTransform:
        """The transform at a fraction in [0, 1] of the way to `end`: straight line, and slerp."""
        x, y, z = (a + fraction * (b - a) for a, b in zip(self.translation, end.translation, strict=True))
        return RigidTransform((x, y, z), quaternion.slerp(self.rotation, end.rotation, fraction))


def _finite(values: Sequence[float], name: str, count: int) -> list[float]:
    numbers = [float(value) for value in values]
    if len(numbers) != count:
        raise TransformError(f"the {name} takes {count} values, got {len(numbers)}")
    if not all(map(math.isfinite, numbers)):
        raise TransformError(f"the {name} has values that are not finite: {numbers}")
    return numbers
