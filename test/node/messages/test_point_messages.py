# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One record of an answer into geometry_msgs: headers, frames, order, orientation and the best point."""

import math

import numpy as np
import pytest

pytest.importorskip("molmo_msgs.msg")

from geometry_msgs.msg import Point, PointStamped, PoseArray, Vector3  # noqa: E402
from molmo_msgs.msg import ObjectPoint, ObjectPointArray  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402

from molmo_ros.geometry import PinholeCamera, RigidTransform, quaternion  # noqa: E402
from molmo_ros.node.messages.point_messages import (  # noqa: E402
    best_point,
    best_point_message,
    pixels_message,
    points_message,
    pose_message,
)
from molmo_ros.node.records.surroundings import Surroundings  # noqa: E402

RANDOM = np.random.default_rng(5)


def object_point(position=None, pixel=(1.5, 2.5), normal=None):
    point = ObjectPoint(label="mug", pixel=Point(x=pixel[0], y=pixel[1]))
    if position is not None:
        point.has_position, point.position = (
            True,
            Point(**dict(zip("xyz", map(float, position), strict=True))),
        )
    if normal is not None:
        point.has_normal, point.normal = True, Vector3(**dict(zip("xyz", map(float, normal), strict=True)))
    return point


def record(*points, frame_id="base_link"):
    array = ObjectPointArray(status="FOUND", points=list(points), frame_id=frame_id)
    array.header.frame_id, array.header.stamp.sec, array.header.stamp.nanosec = "camera_optical", 12, 345
    return array


def test_pixels_carry_the_images_own_header():
    array = record(object_point(pixel=(10.25, 20.75)), object_point((1, 2, 3), pixel=(0.0, 480.0)))
    message = deserialize_message(serialize_message(pixels_message(array)), PoseArray)
    assert message.header == array.header
    assert [(p.position.x, p.position.y, p.position.z) for p in message.poses] == [
        (10.25, 20.75, 0),
        (0, 480, 0),
    ]


def test_points_carry_the_images_stamp_and_the_frame_of_the_positions():
    array = record(object_point((1, 2, 3)), object_point(), object_point((4, 5, 6)))
    message = deserialize_message(serialize_message(points_message(array)), PoseArray)
    assert message.header.stamp == array.header.stamp and message.header.frame_id == "base_link"
    assert array.header.frame_id == "camera_optical", "the record itself stays"
    assert [(p.position.x, p.position.y, p.position.z) for p in message.poses] == [(1, 2, 3), (4, 5, 6)]
    assert [p.orientation.w for p in message.poses] == [1, 1]


def test_without_any_place_the_frame_is_the_images():
    array = record(object_point(), frame_id="")
    assert points_message(array).header == array.header and points_message(array).poses == []
    assert best_point_message(array) is None and best_point_message(record()) is None


@pytest.mark.parametrize(
    "normal", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0, -1, 0), *RANDOM.normal(size=(20, 3)).tolist()]
)
def test_z_of_the_pose_is_the_outward_normal(normal):
    normal = np.array(normal) / np.linalg.norm(normal)
    pose = points_message(record(object_point((1, 2, 3), normal=normal))).poses[0]
    turn = pose.orientation
    matrix = quaternion.to_matrix((turn.x, turn.y, turn.z, turn.w))
    assert np.allclose(matrix[:, 2], normal, atol=1e-9)
    assert np.allclose(matrix @ matrix.T, np.eye(3)) and math.isclose(np.linalg.det(matrix), 1)


def test_the_best_point_is_the_nearest_to_the_camera_not_the_first():
    # Nearest along the ray, not in z: the second has the smaller z.
    array = record(object_point((0, 0, 1.0)), object_point((0.9, 0, 0.9)), object_point())
    message = deserialize_message(serialize_message(best_point_message(array)), PointStamped)
    assert (message.point.x, message.point.y, message.point.z) == (0, 0, 1)
    assert message.header.stamp == array.header.stamp and message.header.frame_id == "base_link"


def test_the_best_point_is_the_same_one_in_every_frame():
    places = RANDOM.uniform(-1, 1, size=(8, 3)) + (0, 0, 1.5)
    turn = quaternion.to_matrix((0.5, -0.5, 0.5, 0.5))
    camera = np.array([0.3, -0.2, 1.1])  # its origin in the other frame
    in_optical = best_point_message(record(*map(object_point, places), frame_id="camera_optical"))
    in_base = best_point_message(record(*map(object_point, places @ turn.T + camera)), viewpoint=camera)
    expected = turn @ (in_optical.point.x, in_optical.point.y, in_optical.point.z) + camera
    assert np.allclose((in_base.point.x, in_base.point.y, in_base.point.z), expected)
    assert (
        np.linalg.norm(places, axis=1).argmin()
        == np.abs(places - (in_optical.point.x, in_optical.point.y, in_optical.point.z)).sum(1).argmin()
    )


def test_of_equally_near_points_the_first():
    array = record(object_point((0.1, 0, 1)), object_point((-0.1, 0, 1)))
    assert best_point_message(array).point.x == 0.1


def test_without_places_the_surest_point_is_the_best_and_of_equal_ones_the_first():
    points = [ObjectPoint(label="a"), ObjectPoint(label="b", has_score=True, score=0.3)]
    array = record(*points)
    assert best_point(array).label == "b" and best_point_message(array) is None
    points[1].has_score = False
    assert best_point(array).label == "a" and best_point(record()) is None
    points[1].has_position = True
    assert best_point(array).label == "b", "a place counts first"


def test_a_pose_looks_out_of_the_surface():
    near = object_point((0.0, 0.0, 0.5))
    array = record(near, frame_id="base_link")
    assert pose_message(array, near) is None
    near.has_normal, near.normal = True, Vector3(x=0.6, y=0.0, z=-0.8)
    pose = pose_message(array, near)
    assert pose.header.frame_id == "base_link" and pose.pose.position == near.position
    turn = pose.pose.orientation
    axis = quaternion.to_matrix((turn.x, turn.y, turn.z, turn.w))[:, 2]
    assert axis == pytest.approx((0.6, 0.0, -0.8))


def test_a_point_without_a_normal_gets_it_from_the_depth_around_it():
    """A wall that turns away to the right, in a frame that is turned against the camera's."""
    slant, focal, size = np.radians(30), 60.0, (64, 48)
    columns = np.arange(size[0]) - 31.5
    depth = np.tile(1 / (1 - np.tan(slant) * columns / focal), (size[1], 1))
    camera = PinholeCamera(focal, focal, 31.5, 23.5, *size)
    turned = RigidTransform((0.1, 0.2, 0.3), (0.0, 0.0, np.sin(np.pi / 4), np.cos(np.pi / 4)))
    surroundings = Surroundings(depth, camera, turned, "base_link", None, None)
    point = object_point((0.0, 0.0, 1.0))
    point.pixel.x, point.pixel.y = 32.0, 24.0
    array = record(point, frame_id="base_link")
    turn = pose_message(array, point, surroundings).pose.orientation
    axis = quaternion.to_matrix((turn.x, turn.y, turn.z, turn.w))[:, 2]
    optical = np.array([np.sin(slant), 0.0, -np.cos(slant)])
    assert axis == pytest.approx((0.0, optical[0], optical[2]), abs=1e-3)
    assert not point.has_normal, "the array's own point stays as it is"
    other = record(point, frame_id="map")
    assert pose_message(other, point, surroundings) is None
