# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is seen at a point: the pixels and the visible surface of one object, or why there is no honest region."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from molmo_ros.geometry import RigidTransform


class PointsOn(str, Enum):
    """What a point is on. The value is the wire format."""

    OBJECT = "object"
    SUPPORT = "support"
    NOTHING = "nothing"
    UNKNOWN = ""


@dataclass(frozen=True)
class Plane:
    """The plane of all p with normal . p = offset, in the optical frame.

    Attributes:
        normal: Unit vector out of the surface, toward the camera.
        offset: [m]; negative where the normal looks toward the camera.
    """

    normal: tuple[float, float, float]
    offset: float

    def heights(self, points: np.ndarray) -> np.ndarray:
        """How far points [..., 3] lie above the plane, on the camera's side [m]."""
        return points @ np.asarray(self.normal) - self.offset


@dataclass(frozen=True)
class OrientedBox:
    """A box around a surface.

    Attributes:
        optical_from_box: The pose of its centre. Where the object stands on a support its z axis is the support's
            normal.
        size: Full extent along its axes [m].
    """

    optical_from_box: RigidTransform
    size: tuple[float, float, float]


@dataclass(frozen=True)
class ObjectRegion:
    """One object, as far as the view shows it.

    Attributes:
        on: What the point is on.
        reason: Why there is no region; empty where there is one.
        rows, columns: int32 [n], its pixels [px]; empty where there is no region.
        points: float32 [m, 3], its visible surface in the optical frame [m]; pixels without depth have none.
        window: left, top, width, height of the smallest rectangle around its pixels [px].
        box: Around its surface; where it stands on a support, down to that. None where there is no region.
        support: What it stands on; None where none is in view.
        cut: Whether the image's rim cuts it, so that its true size is larger.
    """

    on: PointsOn
    reason: str
    rows: np.ndarray
    columns: np.ndarray
    points: np.ndarray
    window: tuple[int, int, int, int] = (0, 0, 0, 0)
    box: OrientedBox | None = None
    support: Plane | None = None
    cut: bool = False

    @classmethod
    def none(cls, on: PointsOn, reason: str, support: Plane | None = None) -> ObjectRegion:
        """No region, for a reason."""
        empty = np.zeros(0, np.int32)
        return cls(on, reason, empty, empty, np.zeros((0, 3), np.float32), support=support)

    @property
    def valid(self) -> bool:
        """Whether there is a region."""
        return len(self.rows) > 0


@dataclass(frozen=True)
class SceneRegions:
    """What one depth image shows at the points of an answer.

    Attributes:
        surface: float32 [h, w, 3], each pixel's place in the optical frame [m]; NaN without depth.
        supports: The planes that things stand on or before, the largest first.
        regions: One for each point, in the points' order. Two points on one object have the same pixels.
    """

    surface: np.ndarray
    supports: tuple[Plane, ...]
    regions: tuple[ObjectRegion, ...]

    def labels(self) -> np.ndarray:
        """uint16 [h, w]: the number of the point, from 1, whose region a pixel is of; of several the first; else 0."""
        labels = np.zeros(self.surface.shape[:2], np.uint16)
        for number, region in reversed(list(enumerate(self.regions, start=1))):
            labels[region.rows, region.columns] = number
        return labels
