# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The poses of SDF: `x y z roll pitch yaw`, of a body's frame (x forward) in its parent's."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element

from molmo_ros.geometry import quaternion
from molmo_ros.geometry.rigid_transform import RigidTransform

Vector = tuple[float, float, float]

BODY_FROM_OPTICAL_RPY = (-math.pi / 2, 0.0, -math.pi / 2)
"""Roll, pitch and yaw of an optical frame (x right, y down, z forward) in its body (x forward, z up); REP-103."""


class WorldFileError(ValueError):
    """A world that cannot be read; the message says where, and what would be right."""


def parent_from_child(xyz: Vector, rpy: Vector) -> RigidTransform:
    """The transform of a translation [m] and fixed-axis roll, pitch, yaw [rad]: Rz(yaw) Ry(pitch) Rx(roll)."""
    x, y, z = xyz
    (sr, cr), (sp, cp), (sy, cy) = ((math.sin(angle / 2), math.cos(angle / 2)) for angle in rpy)
    turned = quaternion.product((0.0, 0.0, sy, cy), (0.0, sp, 0.0, cp))
    return RigidTransform((x, y, z), quaternion.product(turned, (sr, 0.0, 0.0, cr)))


BODY_FROM_OPTICAL = parent_from_child((0.0, 0.0, 0.0), BODY_FROM_OPTICAL_RPY)


def pose_of(element: Element) -> RigidTransform:
    """The pose of a model, link, sensor, visual or collision in its parent's frame; the identity where none is written.

    Raises:
        WorldFileError: It is written against another frame, in another format, or is no pose.
    """
    pose = element.find("pose")
    if pose is None or not (pose.text or "").strip():
        return RigidTransform()
    where = f"the pose of {element.tag} {element.get('name', '')!r}"
    if other := pose.get("relative_to") or element.get("placement_frame"):
        raise WorldFileError(
            f"{where} is written against {other!r}: only poses in the parent's frame are read"
        )
    if (form := pose.get("rotation_format", "euler_rpy")) != "euler_rpy":
        raise WorldFileError(f"{where} has rotation_format {form!r}: only euler_rpy is read")
    try:
        values = [float(word) for word in (pose.text or "").split()]
        x, y, z, *angles = values
        roll, pitch, yaw = angles
    except ValueError:
        raise WorldFileError(f"{where} is {(pose.text or '').strip()[:80]!r}: it takes six numbers") from None
    turn = math.pi / 180 if pose.get("degrees") in ("true", "1") else 1.0
    return parent_from_child((x, y, z), (roll * turn, pitch * turn, yaw * turn))
