# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The object at each point, as the record has it."""

import numpy as np
import pytest

pytest.importorskip("molmo_msgs.msg")

from molmo_msgs.msg import ObjectPointArray  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402

from molmo_ros.geometry import quaternion  # noqa: E402
from molmo_ros.node.messages.object_regions import has_box_3d, with_regions, without_regions  # noqa: E402


def test_each_point_says_what_is_there_and_the_box_is_in_the_arrays_frame(scene):
    array = deserialize_message(serialize_message(scene.found.array), ObjectPointArray)
    cup, plate, table = array.points
    assert [point.on for point in array.points] == ["object", "object", "support"]
    assert [point.region_valid for point in array.points] == [True, True, False]
    assert table.region_reason == "the point is on the table" and not cup.region_reason
    box = cup.box_2d
    assert (box.x_offset, box.y_offset, box.width, box.height) == (1, 1, 2, 2)
    box = plate.box_2d
    assert (box.x_offset, box.y_offset, box.width, box.height) == (4, 3, 3, 2)
    assert has_box_3d(cup) and not has_box_3d(plate) and not has_box_3d(table)
    size = cup.box_size.x, cup.box_size.y, cup.box_size.z
    assert size == scene.box.size
    # Each corner of the box is where the box in the optical frame has it.
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * scene.box.size / 2
    wanted = scene.base_from_optical.apply(scene.box.optical_from_box.apply(corners))
    turn, place = cup.box_pose.orientation, cup.box_pose.position
    axes = quaternion.to_matrix((turn.x, turn.y, turn.z, turn.w))
    np.testing.assert_allclose(corners @ axes.T + (place.x, place.y, place.z), wanted, atol=1e-9)


def test_the_record_itself_is_left_alone(scene):
    assert not any(point.region_valid or point.region_reason for point in scene.array.points)
    assert scene.array.points[0] is not scene.found.array.points[0]


def test_boxes_give_an_array_without_positions_its_frame(scene):
    scene.array.frame_id = ""
    filled = with_regions(scene.array, scene.found.scene.regions, scene.found.view.surroundings)
    assert filled.frame_id == "base_link" and scene.array.frame_id == ""


def test_without_regions_each_point_says_why(scene):
    array = without_regions(scene.array, lambda point: f"no depth at the {point.label}")
    assert [point.region_reason for point in array.points] == [
        "no depth at the cup",
        "no depth at the plate",
        "no depth at the table",
    ]
    assert not any(point.region_valid or point.on for point in array.points)
