# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points in a robot's own frame: transforms over DDS, at the image's stamp; normals of surfaces."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tf2_msgs")

from builtin_interfaces.msg import Time  # noqa: E402
from molmo_msgs.srv import Point  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from tf_broadcaster import LATCHED, transform  # noqa: E402

DEPTH = True
S = 10**9
FAR = 2.0
"""Distance of everything that the camera sees [m]."""


@pytest.fixture(scope="module")
def moving(running):
    """The robot with base > rail (static) > wrist (moving) > camera_optical (static).

    `moving.zero` [ns] is a time at which the wrist was at 0; it was at 1 m a second later, and at 2 m the next one.
    """
    running.set(max_frame_age=60.0)
    running.zero = running.node.get_clock().now().nanoseconds - 5 * S
    running.fixed = running.node.create_publisher(TFMessage, "/tf_static", LATCHED)
    running.tf = running.node.create_publisher(TFMessage, "/tf", 10)
    running.spin_until(lambda: running.tf.get_subscription_count())
    running.meet()
    turned = transform("base", "rail", 0, (0.0, 2.0, 0.0), math.pi / 2)
    running.fixed.publish(
        TFMessage(transforms=[turned, transform("wrist", "camera_optical", 0, (0.0, 0.0, 0.1))])
    )
    for second in range(3):
        stamp = running.zero + second * S
        running.tf.publish(
            TFMessage(transforms=[transform("rail", "wrist", stamp, (float(second), 0.0, 0.0))])
        )
    for publisher in (running.fixed, running.tf):
        assert publisher.wait_for_all_acked(Duration(seconds=20))
    running.settle(3)
    return running


def see(robot, make, after, depth=None):
    """A frame taken `after` the time zero [s]; depth of its own needs a time of its own, too."""
    stamp = robot.zero + round(after * S)
    depth = np.full((48, 64), FAR) if depth is None else depth
    stamp = Time(sec=stamp // S, nanosec=stamp % S)
    return robot.send_frame(make.picture(), make.depth(depth), make.info(), stamp=stamp)


def in_base(along):
    """Where the middle of the picture is in base, with the wrist `along` its rail [m].

    The rail points along base's y axis, from y = 2, and the camera looks up along z from 0.1 above it.
    """
    return [0.0, 2.0 + along, 0.1 + FAR]


@pytest.mark.parametrize("after", [0.0, 0.25, 1.5, 2.0])
def test_camera_is_where_it_was_when_the_image_was_taken(moving, make, after):
    moving.set(target_frame="base")
    stamp = see(moving, make, after)
    result = moving.ask("at 0.5,0.5")
    assert (result["status"], result["reason"]) == ("FOUND", "")
    assert result["points"][0]["xyz"] == pytest.approx(in_base(after), abs=1e-6)
    assert (result["frame_id"], result["position_frame"]) == ("camera_optical", "base")
    moving.spin_until(lambda: moving.heard["point"] and moving.heard["points"] and moving.heard["pixels"])
    for name, frame in (("point", "base"), ("points", "base"), ("pixels", "camera_optical")):
        header = moving.heard[name][0].header
        assert (header.frame_id, header.stamp) == (frame, stamp)
    point = moving.heard["point"][0].point
    assert (point.x, point.y, point.z) == pytest.approx(in_base(after), abs=1e-6)


def test_best_point_is_the_nearest_to_the_camera_and_not_to_the_origin(moving, make):
    moving.set(target_frame="base")
    depth = np.full((48, 64), 4.0)
    depth[:, 32:] = 3.0
    see(moving, make, 1.2, depth)
    moving.ask("at 0.25,0.5 0.75,0.5")
    moving.spin_until(lambda: moving.heard["point"])
    assert moving.heard["point"][0].point.z == pytest.approx(3.1)


def test_own_target_frame_of_a_request(moving, make):
    moving.set(target_frame="")
    see(moving, make, 0.5)
    assert moving.ask("at 0.5,0.5")["position_frame"] == "camera_optical"
    response = moving.call(Point, "point_at", labels=["at 0.5,0.5"], target_frame="base").result
    goal = moving.goal(prompt="stream 0.05 at 0.5,0.5", target_frame="base")
    _, result = goal.end()
    for array in (response, result, goal.feedback[-1]):
        assert array.frame_id == "base"
        place = array.points[0].position
        assert [place.x, place.y, place.z] == pytest.approx(in_base(0.5), abs=1e-6)
    moving.set(target_frame="base")
    _, result = moving.goal(prompt="at 0.5,0.5", target_frame="camera_optical").end()
    assert (result.frame_id, result.points[0].position.z) == ("camera_optical", pytest.approx(FAR))


@pytest.mark.parametrize(
    ("frame", "after", "words"),
    [("moon", 1.0, ["'camera_optical'", "'moon'"]), ("base", 3.0, ["'base'"]), ("base", -2.0, ["'base'"])],
)
def test_no_transform_leaves_the_pixels_and_says_why(moving, make, frame, after, words):
    moving.set(target_frame=frame, transform_patience=0.1)
    see(moving, make, after)
    result = moving.ask("at 0.5,0.5")
    assert result["status"] == "NO_TRANSFORM"
    assert all(word in result["reason"] for word in words)
    point = result["points"][0]
    assert (point["x"], point["y"], point["xyz"], result["position_frame"]) == (32.0, 24.0, None, "")
    assert point["reason"] in result["reason"]
    status, result = moving.goal(prompt="at 0.5,0.5").end()
    assert (status, result.status) == ("ABORTED", "NO_TRANSFORM")
    moving.spin_until(lambda: moving.heard["pixels"])
    assert not moving.heard["point"] and not moving.heard["points"]


def test_transform_that_is_still_on_its_way_is_awaited(moving, make):
    moving.set(target_frame="base", transform_patience=10.0)
    see(moving, make, 3.5)
    goal = moving.goal(prompt="at 0.5,0.5").accepted()
    moving.spin(0.3)
    assert not moving.heard["result"]
    late = transform("rail", "wrist", moving.zero + 4 * S, (4.0, 0.0, 0.0))
    moving.tf.publish(TFMessage(transforms=[late]))
    status, result = goal.end(patience=8)
    assert (status, result.points[0].position.y) == ("SUCCEEDED", pytest.approx(2.0 + 3.5))


@pytest.mark.parametrize(("frame", "after"), [("", 1.7), ("base", 1.8)])
def test_z_axis_of_a_pose_is_the_normal_of_the_surface(moving, make, frame, after):
    moving.set(target_frame=frame, surface_normals=True, transform_patience=0.2)
    normal = np.array([0.3, -0.2, -1.0])
    normal /= np.linalg.norm(normal)  # toward the camera
    columns, rows = np.meshgrid(np.arange(64.0), np.arange(48.0))
    rays = np.stack([(columns - 31.5) / 60, (rows - 23.5) / 60, np.ones_like(rows)], axis=-1)
    see(moving, make, after, (FAR * normal[2]) / (rays @ normal))  # the plane through (0, 0, FAR)
    result = moving.ask("at 0.5,0.5")
    expected = normal if not frame else np.array([-normal[1], normal[0], normal[2]])  # a quarter turn about z
    assert result["points"][0]["normal"] == pytest.approx(expected.tolist(), abs=1e-3)
    moving.spin_until(lambda: moving.heard["points"])
    turn = moving.heard["points"][0].poses[0].orientation
    x, y, z, w = turn.x, turn.y, turn.z, turn.w
    z_axis = [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)]
    assert z_axis == pytest.approx(expected.tolist(), abs=1e-3)
    moving.set(surface_normals=False)
    assert moving.ask("at 0.5,0.5")["points"][0]["normal"] is None
