# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The frame that grasps of one approach are planned in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molmo_ros.geometry import RigidTransform, quaternion

SIDEWAYS = 0.9
"""Cosine from which on a direction counts as the optical frame's x axis."""


@dataclass(frozen=True)
class ApproachFrame:
    """A frame whose z axis points against the approach: out of the object, toward the hand.

    Attributes:
        origin: float64 [3], in the optical frame [m].
        axes: float64 [3, 3], in its columns the frame's x, y and z axes in the optical frame.
        kind: `TOP` or `NORMAL` of `grasp.py`.
    """

    origin: np.ndarray
    axes: np.ndarray
    kind: str

    @classmethod
    def against(cls, origin: np.ndarray, outward: np.ndarray, kind: str) -> ApproachFrame:
        """The frame with that z axis [3]; its x axis is as close as it can be to the optical frame's x (or y) axis."""
        z = np.asarray(outward, np.float64) / np.linalg.norm(outward)
        guide = np.array([0.0, 1.0, 0.0]) if abs(z[0]) > SIDEWAYS else np.array([1.0, 0.0, 0.0])
        x = guide - (guide @ z) * z
        x /= np.linalg.norm(x)
        return cls(np.asarray(origin, np.float64), np.stack([x, np.cross(z, x), z], axis=1), kind)

    def points(self, optical: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the optical frame in this frame [m]."""
        return (optical - self.origin.astype(optical.dtype)) @ self.axes.astype(optical.dtype)

    def optical_from_grasp(self, x: float, y: float, z: float, angle: float) -> RigidTransform:
        """The gripper's pose with the fingertips' middle at a place of this frame.

        Args:
            angle: From the frame's x axis to the closing axis, about the frame's z axis [rad].
        """
        cos, sin = np.cos(angle), np.sin(angle)
        # Columns: y cross z, the closing axis, the approach axis.
        frame_from_grasp = np.array([[-sin, cos, 0.0], [cos, sin, 0.0], [0.0, 0.0, -1.0]])
        px, py, pz = (self.origin + self.axes @ (x, y, z)).tolist()
        return RigidTransform((px, py, pz), quaternion.from_matrix(self.axes @ frame_from_grasp))
