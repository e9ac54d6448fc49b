# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Grasps as messages: one entry for each point, in the array's frame."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("molmo_msgs.msg")

from molmo_msgs.msg import GraspArray  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402

from molmo_ros.geometry import RigidTransform, quaternion  # noqa: E402
from molmo_ros.manipulation.grasp import Grasp, ObjectGrasps, Suction  # noqa: E402
from molmo_ros.node.messages.grasp_messages import grasps_message  # noqa: E402

HALF = 0.5**0.5


def axes(pose):
    turn = pose.orientation
    return quaternion.to_matrix((turn.x, turn.y, turn.z, turn.w))


def test_a_grasp_is_in_the_arrays_frame_and_the_reasons_are_the_objects_own(scene):
    optical_from_grasp = RigidTransform((0.1, 0.2, 1.0), (HALF, 0.0, 0.0, HALF))
    cup = ObjectGrasps(
        (Grasp(optical_from_grasp, 0.05, 0.07, 0.02, "top", 0.9),),
        suction=Suction(RigidTransform((0.1, 0.1, 0.9)), 0.015),
    )
    plate = ObjectGrasps(reason="wider than the gripper opens", suction_reason="no flat patch")
    table = ObjectGrasps(reason="no object", suction_reason="no object")
    message = grasps_message(replace(scene.found, grasps=(cup, plate, table)))
    message = deserialize_message(serialize_message(message), GraspArray)
    assert message.header.frame_id == "base_link" and message.header.stamp == scene.header.stamp
    assert message.camera == "wrist"
    assert [(one.number, one.label, one.query) for one in message.objects] == [
        (1, "cup", "q"),
        (2, "plate", "q"),
        (3, "table", "q"),
    ]
    (grasp,) = message.objects[0].grasps
    wanted = scene.base_from_optical.apply(np.array([(0.1, 0.2, 1.0)]))[0]
    place = grasp.pose.position
    np.testing.assert_allclose((place.x, place.y, place.z), wanted, atol=1e-9)
    # The grasp's axes, turned by its own quarter about x, then by the base's about z.
    np.testing.assert_allclose(axes(grasp.pose), [[0, 0, 1], [1, 0, 0], [0, 1, 0]], atol=1e-9)
    assert (grasp.width, grasp.opening, grasp.clearance) == (0.05, 0.07, 0.02)
    assert (grasp.approach, grasp.score) == ("top", 0.9)
    assert message.objects[0].has_suction and message.objects[0].suction_radius == 0.015
    np.testing.assert_allclose(message.objects[0].suction_pose.position.z, 1.9)
    assert not message.objects[1].has_suction
    assert message.objects[1].reason == "wider than the gripper opens"
    assert message.objects[1].suction_reason == "no flat patch"


def test_where_nothing_was_planned_the_reason_is_the_regions(scene):
    message = grasps_message(scene.found)
    assert message.objects[2].reason == message.objects[2].suction_reason == "the point is on the table"
    assert not any(one.grasps for one in message.objects)
