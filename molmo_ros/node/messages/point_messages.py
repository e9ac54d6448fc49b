# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The points of an answer as geometry_msgs: all in pixels, all in metres, and the best one.

All are derived from one molmo_msgs/ObjectPointArray. Pixels carry the image's own header; metres carry its stamp and
the frame of the positions.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import PointStamped, Pose, PoseArray, PoseStamped, Quaternion, Vector3
from molmo_msgs.msg import ObjectPoint, ObjectPointArray
from std_msgs.msg import Header

from molmo_ros.geometry import RigidTransform
from molmo_ros.geometry.surface import surface_normal, surface_orientation
from molmo_ros.node.records.surroundings import Surroundings


def pixels_message(array: ObjectPointArray) -> PoseArray:
    """All points in pixels: x and y [px] of the original image, 0 at its left and top edges, z = 0."""
    return PoseArray(header=array.header, poses=[Pose(position=point.pixel) for point in array.points])


def points_message(array: ObjectPointArray) -> PoseArray:
    """All points that have a place, in the order of the array [m]; see `pose_of` for their orientation."""
    return PoseArray(
        header=position_header(array), poses=[pose_of(point) for point in array.points if point.has_position]
    )


def best_point(array: ObjectPointArray, viewpoint: Sequence[float] = (0.0, 0.0, 0.0)) -> ObjectPoint | None:
    """The best point: of those with a place the one nearest to the camera; else the surest, of equal ones the first.

    The models sort their points left to right, so the first is not the best; the nearest one is the one a robot
    reaches first and nothing pointed at stands before it. A score takes no part: differences between two sure points
    say little, and `min_confidence` has taken the unsure ones out before. Of equally near ones, the first.

    Args:
        viewpoint: The camera's optical centre in `array.frame_id` [m]; the origin where that is the optical frame.
    """

    def distance(point: ObjectPoint) -> float:
        return math.dist((point.position.x, point.position.y, point.position.z), viewpoint)

    if placed := [point for point in array.points if point.has_position]:
        return min(placed, key=distance)
    return max(array.points, key=lambda point: point.score if point.has_score else 0.0, default=None)


def best_point_message(
    array: ObjectPointArray, viewpoint: Sequence[float] = (0.0, 0.0, 0.0)
) -> PointStamped | None:
    """The best point in metres, see `best_point`; None where no point has a place."""
    best = best_point(array, viewpoint)
    if best is None or not best.has_position:
        return None
    return PointStamped(header=position_header(array), point=best.position)


def pose_message(
    array: ObjectPointArray, point: ObjectPoint, surroundings: Surroundings | None = None
) -> PoseStamped | None:
    """A point that has a place, with its surface's normal as the z axis; None where that is not known.

    Args:
        array: The point's own.
        surroundings: What the normal is read from, where the point has none.
    """
    if not point.has_normal and surroundings is not None and surroundings.frame_id == array.frame_id:
        point = _with_normal(point, surroundings)
    return PoseStamped(header=position_header(array), pose=pose_of(point)) if point.has_normal else None


def position_header(array: ObjectPointArray) -> Header:
    """Stamp of the image, and the frame of the positions; the image's frame where there are none."""
    return Header(stamp=array.header.stamp, frame_id=array.frame_id or array.header.frame_id)


def pose_of(point: ObjectPoint) -> Pose:
    """The point's place [m], oriented by `surface_orientation`; the identity where no normal is known."""
    if not point.has_normal:
        return Pose(position=point.position)
    x, y, z, w = surface_orientation((point.normal.x, point.normal.y, point.normal.z))
    return Pose(position=point.position, orientation=Quaternion(x=x, y=y, z=z, w=w))


def _with_normal(point: ObjectPoint, surroundings: Surroundings) -> ObjectPoint:
    """A copy with the normal of the surface there, where there is one."""
    # Molmo's pixel is 0 at the image's edge; calibrations are 0 at the first pixel's centre.
    column, row = point.pixel.x - 0.5, point.pixel.y - 0.5
    normal = surface_normal(surroundings.depth, surroundings.camera, column, row).normal
    if normal is None:
        return point
    point = copy.copy(point)
    to_target = surroundings.target_from_optical or RigidTransform()
    x, y, z = to_target.rotate(np.array([normal]))[0].tolist()
    point.has_normal, point.normal = True, Vector3(x=x, y=y, z=z)
    return point
