# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where depth of another camera lies, by a buffer of transforms; and that it is registered once a frame."""

import array
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from molmo_ros.geometry import RigidTransform, TransformBuffer  # noqa: E402
from molmo_ros.molmo.answer import Point  # noqa: E402
from molmo_ros.molmo.status import Status  # noqa: E402
from molmo_ros.node.answers import picture_depth  # noqa: E402
from molmo_ros.node.answers.locator import Locator  # noqa: E402
from molmo_ros.node.cameras.camera_input import CameraInput  # noqa: E402
from molmo_ros.node.parameters.declaration import Settings  # noqa: E402

MS = 1_000_000
TAKEN = 100_000 * MS
"""Stamp of the picture [ns]."""
FOCAL = 40.0


class Buffered:
    def __init__(self):
        self.buffer = TransformBuffer()

    def lookup(self, target, source, stamp, _patience):
        return self.buffer.lookup(target, source, stamp)

    def parents(self):
        return self.buffer.parents()


def stamped(message, stamp, frame):
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
    message.header.frame_id = frame
    return message


def depth_image(stamp, pixels, frame="depth_optical"):
    data = array.array("B", pixels.astype(np.float32).tobytes())
    height, width = pixels.shape
    big = sys.byteorder == "big"
    message = Image(width=width, height=height, encoding="32FC1", step=width * 4, data=data, is_bigendian=big)
    return stamped(message, stamp, frame)


def calibration(frame):
    k = [FOCAL, 0.0, 31.5, 0.0, FOCAL, 23.5, 0.0, 0.0, 1.0]
    return stamped(CameraInfo(width=64, height=48, k=k), TAKEN, frame)


@pytest.fixture
def camera():
    one = CameraInput("camera", "", lambda *_: None)
    one.on_info(calibration("color_optical"))
    one.on_depth_info(calibration("depth_optical"))
    return one


def locator(camera, transforms, message, **parameters):
    return Locator(
        camera,
        calibration("color_optical").header,
        (64, 48),
        "",
        settings=Settings.of({"depth_patience": 0.0, "transform_patience": 0.0} | parameters),
        transforms=transforms,
        find_depth=lambda: (message, ""),
    )


def wall_with_a_step(at):
    """2 m left of a column of the depth image, 1 m from there on."""
    pixels = np.full((48, 64), 2.0)
    pixels[:, at:] = 1.0
    return pixels


def step_in(surroundings):
    """The first column that is near."""
    return int(np.flatnonzero(np.isclose(surroundings.depth[24], 1.0, atol=1e-3))[0])


def moving(metres_per_second):
    """A rig that moves along x in the world: at 0 at the picture's stamp. Both cameras are where it is."""
    transforms = Buffered()
    for name in ("color_optical", "depth_optical"):
        transforms.buffer.set("rig", name, 0, RigidTransform(), static=True)
    for ms in (-50, 50):
        place = RigidTransform((metres_per_second * ms * 1e-3, 0.0, 0.0))
        transforms.buffer.set("world", "rig", TAKEN + ms * MS, place)
    return transforms


def test_what_moved_between_the_stamps_counts(camera):
    """At 15 m/s the depth camera was 150 mm further left 10 ms before: 6 px at 1 m, of a focal length of 40 px."""
    for stamp, column in ((TAKEN, 30), (TAKEN - 10 * MS, 24), (TAKEN + 10 * MS, 36)):
        one = locator(camera, moving(15.0), depth_image(stamp, wall_with_a_step(30)))
        assert one.locate([Point(60.0, 24.0)])[0].xyz[2] == pytest.approx(1.0)
        assert step_in(one.surroundings) == pytest.approx(column, abs=1)  # cells are wider than pixels
        assert "moved" not in camera.assumed


def test_where_the_root_is_not_known_at_both_times_the_rig_is_taken_to_stand(camera):
    transforms = Buffered()
    for name in ("color_optical", "depth_optical"):
        transforms.buffer.set("rig", name, 0, RigidTransform(), static=True)
    transforms.buffer.set("world", "rig", TAKEN - 50 * MS, RigidTransform())
    one = locator(camera, transforms, depth_image(TAKEN - 10 * MS, wall_with_a_step(30)))
    one.locate([Point(60.0, 24.0)])
    assert step_in(one.surroundings) == pytest.approx(30, abs=1) and "nothing moved" in camera.assumed


def test_the_frames_must_be_known_at_the_stamp(camera):
    transforms = Buffered()
    for ms in (-500, -400):
        for name in ("color_optical", "depth_optical"):
            transforms.buffer.set("rig", name, TAKEN + ms * MS, RigidTransform())
    one = locator(camera, transforms, depth_image(TAKEN, wall_with_a_step(30)))
    (point,) = one.locate([Point(60.0, 24.0)])
    assert (point.xyz, one.missing) == (None, Status.NO_DEPTH)
    assert all(word in point.reason for word in ("'depth_optical'", "'color_optical'", "after the newest"))
    assert camera.problem == point.reason


def test_depth_of_a_body_frame_until_the_optical_one_is_named(camera):
    transforms = moving(0.0)
    transforms.buffer.set("rig", "depth/link/sensor", 0, RigidTransform(), static=True)
    camera.on_depth_info(calibration("depth/link/sensor"))
    message = depth_image(TAKEN, wall_with_a_step(30), "depth/link/sensor")
    (point,) = locator(camera, transforms, message).locate([Point(60.0, 24.0)])
    assert "no optical frame" in point.reason and "depth_frame" in point.reason
    (point,) = locator(camera, transforms, message, depth_frame="depth_optical").locate([Point(60.0, 24.0)])
    assert point.xyz[2] == pytest.approx(1.0)


def test_a_frame_is_registered_once_for_all_that_ask(camera, monkeypatch):
    made = []

    def register(*arguments):
        made.append(arguments)
        return real(*arguments)

    real = picture_depth.register_depth
    monkeypatch.setattr(picture_depth, "register_depth", register)
    transforms, message = moving(0.0), depth_image(TAKEN, wall_with_a_step(30))
    for _ in range(3):
        assert locator(camera, transforms, message).locate([Point(60.0, 24.0)])[0].xyz is not None
    assert len(made) == 1
    locator(camera, transforms, depth_image(TAKEN, wall_with_a_step(20))).locate([Point(60.0, 24.0)])
    assert len(made) == 2, "another message of the same stamp"
    camera.on_depth_info(
        stamped(CameraInfo(width=64, height=48, k=[50.0, 0, 31.5, 0, 50.0, 23.5, 0, 0, 1.0]), 1, "")
    )
    locator(camera, transforms, message).locate([Point(60.0, 24.0)])
    assert len(made) == 3, "another calibration"


def test_depth_that_is_aligned_is_not_touched(camera):
    message = depth_image(TAKEN, wall_with_a_step(30), "color_optical")
    camera.on_depth_info(calibration("color_optical"))
    one = locator(camera, Buffered(), message)
    one.locate([Point(60.0, 24.0)])
    assert np.may_share_memory(one.surroundings.depth, np.frombuffer(message.data, np.uint8))
    broken = calibration("color_optical")
    broken.k[0] = 0.0
    camera.on_depth_info(broken)
    one = locator(camera, Buffered(), message)
    assert one.locate([Point(60.0, 24.0)])[0].xyz is not None, "depth that is aligned needs no calibration"
