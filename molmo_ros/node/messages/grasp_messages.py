# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How to take hold of the objects of one image, as molmo_msgs."""

from __future__ import annotations

from collections.abc import Sequence

from molmo_msgs.msg import Grasp as GraspMessage
from molmo_msgs.msg import GraspArray, ObjectPoint, ObjectPointArray
from molmo_msgs.msg import ObjectGrasps as ObjectGraspsMessage

from molmo_ros.geometry import RigidTransform
from molmo_ros.manipulation.grasp import Grasp, ObjectGrasps
from molmo_ros.node.messages.object_regions import in_target, pose_message
from molmo_ros.node.messages.point_messages import position_header
from molmo_ros.node.records.found_objects import FoundObjects


def grasps_message(found: FoundObjects) -> GraspArray:
    """One entry for each point, in their order and in the frame of their places.

    Where nothing was planned, because there is no region, its reason is each point's.
    """
    array, surroundings = found.array, found.view.surroundings
    grasps: Sequence[ObjectGrasps] | None = found.grasps
    if grasps is None:
        grasps = [
            ObjectGrasps(reason=point.region_reason, suction_reason=point.region_reason)
            for point in array.points
        ]
    target_from_optical = None if surroundings is None else surroundings.target_from_optical
    return GraspArray(
        header=position_header(array),
        camera=array.camera,
        objects=[
            _object_grasps(number, array, point, one, target_from_optical)
            for number, (point, one) in enumerate(zip(array.points, grasps, strict=True), start=1)
        ],
    )


def _object_grasps(
    number: int,
    array: ObjectPointArray,
    point: ObjectPoint,
    grasps: ObjectGrasps,
    target_from_optical: RigidTransform | None,
) -> ObjectGraspsMessage:
    message = ObjectGraspsMessage(
        number=number,
        label=point.label,
        query=point.query or array.query,
        track_id=point.track_id,
        grasps=[_grasp(one, target_from_optical) for one in grasps.grasps],
        reason=grasps.reason,
        suction_reason=grasps.suction_reason,
    )
    if grasps.suction is not None:
        message.has_suction = True
        message.suction_pose = pose_message(
            in_target(target_from_optical, grasps.suction.optical_from_suction)
        )
        message.suction_radius = float(grasps.suction.radius)
    return message


def _grasp(grasp: Grasp, target_from_optical: RigidTransform | None) -> GraspMessage:
    return GraspMessage(
        pose=pose_message(in_target(target_from_optical, grasp.optical_from_grasp)),
        width=float(grasp.width),
        opening=float(grasp.opening),
        clearance=float(grasp.clearance),
        approach=grasp.approach,
        score=float(grasp.score),
    )
