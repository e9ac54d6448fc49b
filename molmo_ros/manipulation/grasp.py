# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How to take hold of an object.

Frames: the origin lies midway between the fingertips, z is the approach axis (from the hand to the object), y the
closing axis (along which the fingers move), x completes them to a right-handed frame. For suction the origin is the
point on the surface and z the same approach axis, into the surface.
"""

from __future__ import annotations

from dataclasses import dataclass

from molmo_ros.geometry import RigidTransform

TOP, NORMAL = "top", "normal"
"""Approaches: straight down onto the support, or along the normal of the object's surface."""


@dataclass(frozen=True)
class Grasp:
    """One way to close a parallel-jaw gripper on an object.

    Attributes:
        optical_from_grasp: The gripper's pose at the object, before it closes.
        width: Of the object between the fingers [m].
        opening: To which the gripper is to be opened before [m]: the width and room on both sides.
        clearance: From the open fingers and their way to what else the camera saw [m].
        approach: `TOP` or `NORMAL`.
        score: In [0, 1], the larger the better; it orders the grasps of one object.
    """

    optical_from_grasp: RigidTransform
    width: float
    opening: float
    clearance: float
    approach: str
    score: float


@dataclass(frozen=True)
class Suction:
    """A patch that is flat enough for a suction cup.

    Attributes:
        optical_from_suction: Pose of the cup on the surface.
        radius: Of the largest flat disc around it [m].
    """

    optical_from_suction: RigidTransform
    radius: float


@dataclass(frozen=True)
class ObjectGrasps:
    """All ways to take hold of one object.

    Attributes:
        grasps: The best first.
        reason: Why there is no grasp; empty where there is one.
        suction: The best place for a cup; None where there is none.
        suction_reason: Why there is none; empty where there is one.
    """

    grasps: tuple[Grasp, ...] = ()
    reason: str = ""
    suction: Suction | None = None
    suction_reason: str = ""
