# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How a gripper takes hold of each object of a scene."""

from __future__ import annotations

import numpy as np

from molmo_ros.manipulation.approach_frame import ApproachFrame
from molmo_ros.manipulation.grasp import NORMAL, TOP, ObjectGrasps
from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.manipulation.jaw_grasps import grasps_along
from molmo_ros.manipulation.obstacles import Obstacles
from molmo_ros.manipulation.seen_surface import LEAST_POINTS, SeenSurface
from molmo_ros.manipulation.suction_place import suction_place
from molmo_ros.regions.region import ObjectRegion, SceneRegions

LEAST_TURN = np.cos(np.radians(20.0))
"""Cosine of the least angle between two approaches."""
LARGEST_REACH = 1.0
"""What reaches further from its middle [m] is not planned for, so that planning takes a bounded time."""


def plan_grasps(scene: SceneRegions, gripper: Gripper) -> tuple[ObjectGrasps, ...]:
    """The grasps of each region, in the regions' order.

    From above first, which is along the normal of the support; where that gives no grasp, along the normal of the
    object's surface.
    """
    known: dict[int, ObjectGrasps] = {}
    for region in scene.regions:
        if id(region.points) not in known:
            known[id(region.points)] = _object_grasps(scene, region, gripper)
    return tuple(known[id(region.points)] for region in scene.regions)


def _object_grasps(scene: SceneRegions, region: ObjectRegion, gripper: Gripper) -> ObjectGrasps:
    seen = SeenSurface.of(scene.surface, region)
    if seen is None:
        reason = region.reason or f"fewer than {LEAST_POINTS} pixels of the object have depth"
        return ObjectGrasps(reason=reason, suction_reason=reason)
    reach = float(np.hypot(gripper.opening / 2 + gripper.finger_thickness, gripper.finger_width))
    reach = max(reach, float(np.hypot(gripper.hand_width, gripper.hand_thickness)) / 2)
    size = float(np.linalg.norm(seen.points - np.median(seen.points, axis=0), axis=1).max())
    if not size <= LARGEST_REACH:
        reason = f"the object reaches {size:.2f} m from its middle, and no further than {LARGEST_REACH:g} m is planned"
        return ObjectGrasps(reason=reason, suction_reason=reason)
    obstacles = Obstacles.around(scene.surface, region, seen, reach + size + 0.02)
    place = suction_place(seen)
    suction, suction_reason = (None, place) if isinstance(place, str) else (place, "")
    reasons = []
    for frame in _approaches(seen, region):
        grasps, refusal = grasps_along(frame, scene.surface, seen, obstacles, gripper)
        if refusal is None:
            return ObjectGrasps(grasps, suction=suction, suction_reason=suction_reason)
        reasons.append(refusal)
    return ObjectGrasps(reason=reasons[0].reason, suction=suction, suction_reason=suction_reason)


def _approaches(seen: SeenSurface, region: ObjectRegion) -> list[ApproachFrame]:
    """From above; level, toward what is seen of the object; along the mean normal of what is seen."""
    middle = np.median(seen.points, axis=0).astype(np.float64)
    normals = seen.normals[np.isfinite(seen.normals).all(axis=1)]
    # Where the surface is too thin for normals, it faces the camera.
    mean = normals.mean(axis=0).astype(np.float64) if len(normals) else -middle / np.linalg.norm(middle)
    if region.support is None:
        return [ApproachFrame.against(middle, mean, NORMAL)]
    up = np.asarray(region.support.normal)
    frames = [ApproachFrame.against(middle - float(region.support.heights(middle)) * up, up, TOP)]
    for outward in (mean - (mean @ up) * up, mean):
        length = float(np.linalg.norm(outward))
        if length > 0.1 and all(frame.axes[:, 2] @ outward / length < LEAST_TURN for frame in frames):
            frames.append(ApproachFrame.against(middle, outward, NORMAL))
    return frames
