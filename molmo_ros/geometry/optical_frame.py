# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whether the frame that an image names is an optical one: z forward, x right, y down (REP-103).

Drivers name the optical frame of their camera; simulators and some drivers name a body frame, x forward and z up. A
point deprojected into that would lie beside the camera instead of before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from molmo_ros.geometry.frame_names import is_named_optical, shown
from molmo_ros.geometry.quaternion import conjugate, product
from molmo_ros.geometry.rigid_transform import RigidTransform

BODY_FROM_OPTICAL = (-0.5, 0.5, -0.5, 0.5)
"""Quaternion of an optical frame in the body frame of the same camera (REP-103); rpy (-pi/2, 0, -pi/2)."""
SAME_DIRECTION = math.radians(5.0)
"""Frames within this angle look the same way."""
UPRIGHT = 0.3
"""A direction whose share along the vertical is less than this says nothing about up and down."""


def doubt(
    frame: str, parents: Mapping[str, str], relate: Callable[[str, str], RigidTransform | None]
) -> tuple[str, str]:
    """Why a frame is not an optical one, and the name of the optical frame that belongs to it.

    What tells: its own name; an optical frame in TF that is turned from it as an optical frame is from its camera's
    body; the shape of a simulator's names, `model/link/sensor`; and the vertical, because TF's roots have z up
    (REP-103) and a camera's y axis points down, a body's z axis up.

    Args:
        frame: Its name, without a leading slash.
        parents: All frames that TF knows, by their children's names.
        relate: Returns the transform from the second frame to the first, at the image's time; None where it is not
            known.

    Returns:
        Two empty texts where nothing speaks against it; the second is empty where TF has no such frame.
    """
    if not frame or is_named_optical(frame):
        return "", ""
    if beside := _optical_frame_of(frame, parents, relate):
        return (
            f"TF has {shown(beside)} turned from {shown(frame)} as an optical frame is from its camera's body",
            beside,
        )
    if frame.count("/") >= 2:
        return f"{shown(frame)} is named as simulators name a sensor's body (model/link/sensor)", ""
    root = frame
    for _ in range(len(parents)):  # TF is a tree; a loop would have no end
        if root not in parents:
            break
        root = parents[root]
    root_from_frame = relate(root, frame) if root != frame else None
    if root_from_frame is None:
        return "", ""
    _, y_up, z_up = root_from_frame.rotate(np.eye(3))[:, 2].tolist()
    looks_like_a_camera = -y_up > UPRIGHT or z_up < -1 + UPRIGHT  # its y axis points down, or it looks down
    if z_up > UPRIGHT and z_up > -y_up:
        return (
            f"in {shown(root)} the z axis of {shown(frame)} points up, as a body's does; a camera's points forward",
            "",
        )
    if frame.endswith("_link") and not looks_like_a_camera:
        return (
            f"{shown(frame)} is a link's name, and in {shown(root)} its y axis does not point down as a camera's does",
            "",
        )
    return "", ""


def _optical_frame_of(
    frame: str, parents: Mapping[str, str], relate: Callable[[str, str], RigidTransform | None]
) -> str:
    """The nearest optical frame that is turned from a frame as from a camera's body; empty where there is none."""
    found: list[tuple[float, str]] = []
    for other in {*parents, *parents.values()}:
        if other == frame or not is_named_optical(other):
            continue
        frame_from_other = relate(frame, other)
        if frame_from_other is None:
            continue
        if _angle(frame_from_other.rotation, BODY_FROM_OPTICAL) < SAME_DIRECTION:
            found.append((math.hypot(*frame_from_other.translation), other))
    return min(found)[1] if found else ""


def _angle(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Between two rotations [rad]."""
    *_, w = product(conjugate(a), b)
    return 2 * math.acos(min(1.0, abs(w)))
