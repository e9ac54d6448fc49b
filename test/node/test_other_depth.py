# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A running node whose depth is of another camera, over DDS: registered by its calibration and TF, or refused."""

import array
import math
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tf2_msgs")

from rclpy.duration import Duration  # noqa: E402
from sensor_msgs.msg import CameraInfo, PointCloud2, PointField  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from tf_broadcaster import LATCHED, transform  # noqa: E402

DEPTH = True
BASELINE = 0.1
"""The depth camera is so far to the right of the picture's, of another size and lens [m]."""
NEAR, FAR = 0.5, 2.0
"""A box and the wall behind it [m]."""
COLOUR, STEREO, UNKNOWN = "color_optical", "depth_optical", "nowhere_optical"
FOCAL, FOCAL_DEPTH = 60.0, 45.0


IMAGES = pytest.mark.parametrize("rig", ["image"], indirect=True, scope="module")
CLOUDS = pytest.mark.parametrize("rig", ["points"], indirect=True, scope="module")
"""What depth is; a node is started for each."""


@pytest.fixture(scope="module")
def rig(robot, request):
    """The node, and TF: base > color_optical, base > depth_optical beside it, base > lidar (x forward)."""
    robot.start("-p", f"depth_source:={request.param}", depth=True)
    robot.extra = {
        "info": robot.node.create_publisher(CameraInfo, "depth/camera_info", 5),
        "points": robot.node.create_publisher(PointCloud2, "points", 5),
        "fixed": robot.node.create_publisher(TFMessage, "/tf_static", LATCHED),
    }
    robot.spin_until(lambda: robot.extra["fixed"].get_subscription_count())
    robot.set(max_frame_age=60.0)
    lidar = transform("base", "lidar", 0, (0.0, 0.0, 0.0))
    turn = lidar.transform.rotation  # of a body frame in an optical one
    turn.x, turn.y, turn.z, turn.w = 0.5, -0.5, 0.5, 0.5
    robot.extra["fixed"].publish(
        TFMessage(
            transforms=[
                transform("base", COLOUR, 0),
                transform("base", STEREO, 0, (BASELINE, 0.0, 0.0)),
                lidar,
            ]
        )
    )
    assert robot.extra["fixed"].wait_for_all_acked(Duration(seconds=20))
    robot.settle(3)
    yield robot
    robot.stop()
    for publisher in robot.extra.values():
        robot.node.destroy_publisher(publisher)


@pytest.fixture(autouse=True)
def defaults(rig):
    rig.set(depth_is_aligned=False, depth_frame="", optical_frame="")


def stereo_depth(width=48, height=36):
    """The box, from x = 0.05 m to 0.25 m in the picture's frame, and the wall, seen by the depth camera."""
    column, row = np.meshgrid(np.arange(width), np.arange(height))
    x = (column - (width / 2 - 0.5)) / FOCAL_DEPTH * NEAR + BASELINE
    y = (row - (height / 2 - 0.5)) / FOCAL_DEPTH * NEAR
    return np.where((x > 0.05) & (x < 0.25) & (np.abs(y) < 0.1), NEAR, FAR)


def cloud(points, fields="xyz", letter="f", order="<", padding=4):
    """A PointCloud2 of one row, packed by struct."""
    size = struct.calcsize(letter)
    kind = {"f": PointField.FLOAT32, "d": PointField.FLOAT64, "i": PointField.INT32}[letter]
    step = size * len(fields) + padding
    data = bytearray(step * len(points))
    for number, point in enumerate(points):
        values = [int(one) if letter == "i" else one for one in point[: len(fields)]]
        struct.pack_into(order + letter * len(fields), data, step * number, *values)
    return PointCloud2(
        height=1,
        width=len(points),
        fields=[
            PointField(name=name, offset=size * place, datatype=kind, count=1)
            for place, name in enumerate(fields)
        ],
        is_bigendian=order == ">",
        point_step=step,
        row_step=step * len(points),
        data=array.array("B", bytes(data)),
        is_dense=False,
    )


def points_in_colour():
    """The scene as points of the picture's frame [n, 3]."""
    depth = stereo_depth(96, 72)  # denser than the picture
    column, row = np.meshgrid(np.arange(96), np.arange(72))
    x, y = (column - 47.5) / 45.0 * depth, (row - 35.5) / 45.0 * depth
    return np.stack([x, y, depth], axis=-1).reshape(-1, 3)


def see(robot, make, message, frame, info=None, info_frame=STEREO):
    """A picture, and depth in a frame."""
    stamp = robot.now()
    for one, name in (
        (make.info(), "camera_info"),
        (info, "info"),
        (message, "depth"),
        (make.picture(), "image"),
    ):
        if one is None:
            continue
        one.header.stamp = stamp
        one.header.frame_id = {"info": info_frame, "depth": frame}.get(name, COLOUR)
        if isinstance(one, PointCloud2):
            robot.extra["points"].publish(one)
        elif name == "info":
            robot.extra["info"].publish(one)
        else:
            robot.publish(name, one)
    robot.spin(0.3)


BOX, WALL = (0.65, 0.5), (0.3, 0.2)
"""Shares of the picture's width and height: at x = 9.6 px and -12.8 px from its centre, of 64x48."""


def ask(robot):
    return robot.ask(f"at {BOX[0]},{BOX[1]} {WALL[0]},{WALL[1]}")


def assert_right(result):
    """By hand: a pixel's ray times the distance of what it meets."""
    assert (result["status"], result["reason"], result["position_frame"]) == ("FOUND", "", COLOUR)
    box, wall = (point["xyz"] for point in result["points"])
    assert box == pytest.approx([9.6 / FOCAL * NEAR, 0.0, NEAR], abs=2e-3)
    assert wall == pytest.approx([-12.8 / FOCAL * FAR, -14.4 / FOCAL * FAR, FAR], abs=8e-3)


def assert_refused(result, *words):
    assert result["status"] == "NO_DEPTH" and all(point["xyz"] is None for point in result["points"])
    assert all(word in result["reason"] for word in words), result["reason"]


@IMAGES
def test_depth_of_another_camera_is_registered(rig, make):
    depth = make.depth(stereo_depth())
    see(rig, make, depth, STEREO)
    assert_refused(ask(rig), STEREO, COLOUR, "depth/camera_info")
    see(rig, make, depth, STEREO, make.info(48, 36, FOCAL_DEPTH))
    assert_right(ask(rig))
    assert_right(ask(rig))  # of the same frame, registered once
    see(rig, make, depth, UNKNOWN, make.info(48, 36, FOCAL_DEPTH), UNKNOWN)
    assert_refused(ask(rig), UNKNOWN, COLOUR, "TF", "is unknown")
    see(rig, make, depth, STEREO, make.info(48, 36, FOCAL_DEPTH), COLOUR)
    assert_refused(ask(rig), STEREO, COLOUR, "another camera's")
    see(rig, make, depth, STEREO, make.info(64, 48, FOCAL_DEPTH))
    assert_refused(ask(rig), "64x48", "48x36")
    see(rig, make, depth, STEREO, make.info(48, 36, 0.0))
    assert_refused(ask(rig), "depth/camera_info: focal lengths must be positive")


@IMAGES
def test_depth_of_the_same_frame_and_another_lens_is_noticed(rig, make):
    """A depth image of the picture's size and frame, half as wide by its own calibration."""
    depth = np.full((48, 64), FAR)
    depth[20:28, 32:36] = NEAR
    see(rig, make, make.depth(depth), COLOUR, make.info(64, 48, 30.0), COLOUR)
    result = rig.ask("at 0.56,0.5")  # 3.84 px beside the centre, 1.92 px in the depth image
    assert result["status"] == "FOUND" and result["points"][0]["xyz"][2] == pytest.approx(NEAR, abs=1e-3)
    result = rig.ask("at 0.605,0.5")  # 6.7 px: 3.4 px there, and 6.7 px as if it were aligned
    assert result["points"][0]["xyz"][2] == pytest.approx(NEAR, abs=1e-3)
    rig.set(depth_is_aligned=True)
    see(rig, make, make.depth(depth), COLOUR, make.info(64, 48, 30.0), COLOUR)
    assert rig.ask("at 0.66,0.5")["points"][0]["xyz"][2] == pytest.approx(FAR)


@IMAGES
def test_aligned_depth_does_not_care_for_a_strangers_calibration(rig, make):
    see(rig, make, make.depth(np.full((48, 64), FAR)), COLOUR, make.info(48, 36, FOCAL_DEPTH), STEREO)
    result = rig.ask("at 0.5,0.5")
    assert result["status"] == "FOUND" and result["points"][0]["xyz"] == pytest.approx([0, 0, FAR])


@CLOUDS
@pytest.mark.parametrize(("letter", "order"), [("f", "<"), ("d", ">")])
def test_a_cloud_is_depth_in_any_frame(rig, make, letter, order):
    points = points_in_colour()
    points[::9] = math.nan
    see(rig, make, cloud(points, letter=letter, order=order), COLOUR)
    assert_right(ask(rig))
    forward = points[:, [2, 0, 1]] * (1, -1, -1)  # x forward, y left, z up
    see(rig, make, cloud(forward, letter=letter, order=order), "/lidar")
    assert_right(ask(rig))
    aside = points - (BASELINE, 0, 0)
    see(rig, make, cloud(aside, letter=letter, order=order), STEREO)
    assert_right(ask(rig))


@CLOUDS
def test_a_cloud_that_is_x_forward_whatever_it_says(rig, make):
    forward = points_in_colour()[:, [2, 0, 1]] * (1, -1, -1)
    see(rig, make, cloud(forward), COLOUR)
    assert_refused(ask(rig), COLOUR, "x forward", "depth_frame")
    rig.set(depth_frame="lidar")
    see(rig, make, cloud(forward), COLOUR)
    assert_right(ask(rig))


@CLOUDS
@pytest.mark.parametrize(
    ("points", "arguments", "frame", "words"),
    [
        (np.ones((5, 3)), {}, UNKNOWN, [UNKNOWN, COLOUR, "TF", "is unknown"]),
        (np.ones((5, 3)), {}, "", ["no frame_id", "depth_frame"]),
        (np.ones((0, 3)), {}, COLOUR, ["empty"]),
        (np.full((9, 3), np.nan), {}, COLOUR, ["no point of the cloud", "view"]),
        (np.array([[0, 0, -1.0]]), {}, COLOUR, ["no point of the cloud", "view", "depth_frame"]),
        (np.ones((5, 3)), {"fields": "xy"}, COLOUR, ["no field 'z'"]),
        (np.ones((5, 3)), {"letter": "i"}, COLOUR, ["INT32", "FLOAT32, FLOAT64"]),
    ],
)
def test_clouds_that_are_no_depth(rig, make, points, arguments, frame, words):
    see(rig, make, cloud(points, **arguments), frame)
    assert_refused(ask(rig), *words)


@CLOUDS
def test_no_cloud_is_told_so(rig, make):
    see(rig, make, None, COLOUR)
    assert_refused(ask(rig), "cloud is")
