# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a gripper could hit on its way: everything that the camera saw except the object itself."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from molmo_ros.manipulation.approach_frame import ApproachFrame
from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.manipulation.seen_surface import SeenSurface
from molmo_ros.regions.region import ObjectRegion, Plane

STRIDE = 3
"""Every so many pixels are looked at [px]."""
RIM = 2
"""Pixels so near to the object's are mixed of both [px]."""
ABOVE_SUPPORT = 0.005
"""What lies less above the support belongs to it [m]; fingertips keep further away."""
BACKS = (0.008, 0.016)
"""Everything that is seen has a hidden side: so far behind its surface, along the ray, it is taken to go on [m]."""


@dataclass(frozen=True)
class Obstacles:
    """Points of everything else near an object.

    Attributes:
        points: float32 [n, 3] in the optical frame [m].
        support: What the object stands on; None where that is unknown.
    """

    points: np.ndarray
    support: Plane | None

    @classmethod
    def around(cls, surface: np.ndarray, region: ObjectRegion, seen: SeenSurface, reach: float) -> Obstacles:
        """What is seen no further than `reach` [m] from the middle of a region's surface."""
        height, width = surface.shape[:2]
        size = round(reach / seen.pitch)
        row, column = int(np.median(seen.rows)), int(np.median(seen.columns))
        top, left = max(row - size, 0), max(column - size, 0)
        bottom, right = min(row + size + 1, height), min(column + size + 1, width)
        own = np.zeros((bottom - top, right - left), np.uint8)
        rows, columns = region.rows - top, region.columns - left
        inside = (rows >= 0) & (rows < own.shape[0]) & (columns >= 0) & (columns < own.shape[1])
        own[rows[inside], columns[inside]] = 1
        own = cv2.dilate(own, np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8))
        others = surface[top:bottom:STRIDE, left:right:STRIDE][own[::STRIDE, ::STRIDE] == 0]
        others = others[np.isfinite(others[:, 2])]
        if region.support is not None:
            others = others[region.support.heights(others) > ABOVE_SUPPORT + 3 * seen.raw_noise]
        middle = np.median(seen.points, axis=0)
        others = others[np.square(others - middle).sum(axis=1) < reach**2]
        away = np.linalg.norm(others, axis=1, keepdims=True)
        return cls(np.concatenate([others, *(others * (1 + back / away) for back in BACKS)]), region.support)


@dataclass(frozen=True)
class OpenGripper:
    """k open grippers in an approach's frame.

    Attributes:
        places: float64 [k, 3], between the fingertips [m].
        angles: float64 [k], of the closing axes [rad].
        openings: float64 [k] [m].
        measures: Of the gripper.
    """

    places: np.ndarray
    angles: np.ndarray
    openings: np.ndarray
    measures: Gripper

    def clearance(self, points: np.ndarray) -> np.ndarray:
        """float64 [k]: distance [m] from the fingers, the hand and their way in to the nearest point; 0 on a hit.

        The way in is straight: the space that fingers and hand sweep reaches from where they end up without end
        against the approach.

        Args:
            points: [n, 3] in the approach's frame [m].
        """
        if not len(points):
            return np.full(len(self.places), np.inf)
        along, across, behind = self._local(points)
        g = self.measures
        half = g.finger_thickness / 2
        fingers = _squared(
            along - g.finger_width / 2, np.abs(across - self.openings[:, None] / 2 - half) - half, -behind
        )
        hand = self._hand_squared(along, across, behind)
        return np.sqrt(np.minimum(fingers.min(axis=1), hand.min(axis=1)))

    def hand_clearance(self, points: np.ndarray) -> np.ndarray:
        """float64 [k]: distance [m] from the hand alone and its way in to the nearest point, such as the object's."""
        if not len(points):
            return np.full(len(self.places), np.inf)
        return np.sqrt(self._hand_squared(*self._local(points)).min(axis=1))

    def support_clearance(self, frame: ApproachFrame, support: Plane | None) -> np.ndarray:
        """float64 [k]: height of the lowest corner of fingers and hand above the support [m]; below 0 in it."""
        if support is None:
            return np.full(len(self.places), np.inf)
        normal = frame.axes.T @ np.asarray(support.normal)
        height = self.places @ normal + float(support.heights(frame.origin))
        cos, sin = np.cos(self.angles), np.sin(self.angles)
        along = np.abs(cos * normal[1] - sin * normal[0])
        across = np.abs(cos * normal[0] + sin * normal[1])
        g = self.measures
        fingers = height - along * g.finger_width / 2 - across * (self.openings / 2 + g.finger_thickness)
        hand = height + normal[2] * g.finger_depth - along * g.hand_thickness / 2 - across * g.hand_width / 2
        return np.minimum(fingers, hand)

    def _local(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """[k, n] thrice: distances from each middle across and along its closing axis; height over the tips."""
        cos, sin = np.cos(self.angles)[:, None], np.sin(self.angles)[:, None]
        x = points[:, 0] - self.places[:, :1]
        y = points[:, 1] - self.places[:, 1:2]
        return np.abs(cos * y - sin * x), np.abs(cos * x + sin * y), points[:, 2] - self.places[:, 2:]

    def _hand_squared(self, along: np.ndarray, across: np.ndarray, behind: np.ndarray) -> np.ndarray:
        g = self.measures
        return _squared(along - g.hand_thickness / 2, across - g.hand_width / 2, g.finger_depth - behind)


def _squared(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Squared distance from a box, of distances from its faces (negative inside)."""
    return np.maximum(x, 0) ** 2 + np.maximum(y, 0) ** 2 + np.maximum(z, 0) ** 2
