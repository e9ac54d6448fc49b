# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The points of an answer once more, with the object at each: its pixels' rectangle, its box, what the point is on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from molmo_msgs.msg import ObjectPoint, ObjectPointArray
from sensor_msgs.msg import RegionOfInterest

from molmo_ros.geometry import RigidTransform
from molmo_ros.node.records.surroundings import Surroundings
from molmo_ros.regions.region import ObjectRegion


def with_regions(
    array: ObjectPointArray, regions: Sequence[ObjectRegion], surroundings: Surroundings
) -> ObjectPointArray:
    """A copy of the array that says of each point what object is there.

    Args:
        array: Left as it is.
        regions: One for each point.
        surroundings: Of the picture; boxes go into the frame of its places.
    """
    filled = copy.copy(array)
    filled.points = [
        _with_region(point, region, surroundings.target_from_optical)
        for point, region in zip(array.points, regions, strict=True)
    ]
    if not filled.frame_id and any(region.box is not None for region in regions):
        filled.frame_id = surroundings.frame_id
    return filled


def without_regions(array: ObjectPointArray, reason: Callable[[ObjectPoint], str]) -> ObjectPointArray:
    """A copy of the array that says of each point why no object is known there.

    Args:
        array: Left as it is.
        reason: Why, of a point.
    """
    filled = copy.copy(array)
    filled.points = [_without_region(point, reason(point)) for point in array.points]
    return filled


def has_box_3d(point: ObjectPoint) -> bool:
    """Whether the oriented box of the point's object is known."""
    size = point.box_size
    return point.region_valid and (size.x > 0 or size.y > 0 or size.z > 0)


def pose_message(pose: RigidTransform) -> Pose:
    """The pose of the source frame in the target frame, as a geometry_msgs/Pose."""
    (tx, ty, tz), (x, y, z, w) = pose.translation, pose.rotation
    return Pose(position=Point(x=tx, y=ty, z=tz), orientation=Quaternion(x=x, y=y, z=z, w=w))


def in_target(target_from_optical: RigidTransform | None, optical_from_own: RigidTransform) -> RigidTransform:
    """A pose in the optical frame, in the frame of the places.

    Args:
        target_from_optical: None where the two are one.
        optical_from_own: The pose.
    """
    return optical_from_own if target_from_optical is None else target_from_optical @ optical_from_own


def _with_region(
    point: ObjectPoint, region: ObjectRegion, target_from_optical: RigidTransform | None
) -> ObjectPoint:
    if not region.valid:
        return _without_region(point, region.reason, region.on.value)
    filled = copy.copy(point)
    filled.on, filled.region_valid, filled.region_reason = region.on.value, True, ""
    filled.region_cut = region.cut
    left, top, width, height = map(int, region.window)
    filled.box_2d = RegionOfInterest(x_offset=left, y_offset=top, width=width, height=height)
    if region.box is not None:
        filled.box_pose = pose_message(in_target(target_from_optical, region.box.optical_from_box))
        filled.box_size = Vector3(**dict(zip("xyz", map(float, region.box.size), strict=True)))
    return filled


def _without_region(point: ObjectPoint, reason: str, on: str = "") -> ObjectPoint:
    filled = copy.copy(point)
    filled.on, filled.region_valid, filled.region_reason = on, False, reason
    return filled
