# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""camera_info, depth and pixels brought together, on real messages."""

import numpy as np
import pytest

from molmo_ros.geometry import CameraInfoError
from molmo_ros.molmo.answer import Point
from molmo_ros.node.answers.locate import DepthReading, locate_points
from molmo_ros.node.cameras.intrinsics import camera_from_message

messages = pytest.importorskip("sensor_msgs.msg")


def camera_info(**fields):
    k = [600.0, 0.0, 319.5, 0.0, 600.0, 239.5, 0.0, 0.0, 1.0]
    p = [500.0, 0.0, 310.0, 0.0, 0.0, 500.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return messages.CameraInfo(width=640, height=480, k=k, p=p, distortion_model="plumb_bob", **fields)


READING = DepthReading(window=5, minimum=0.05, maximum=20.0)


def test_centre_of_the_image_lies_on_the_optical_axis():
    """Molmo's pixel (320, 240) is the corner between four pixels: K's (319.5, 239.5)."""
    camera = camera_from_message(camera_info())
    for values in (np.full((480, 640), 1500, np.uint16), np.full((480, 640), 1.5, np.float32)):
        (located,) = locate_points([Point(320, 240)], values, camera, READING)
        assert located.xyz == pytest.approx((0, 0, 1.5), abs=1e-6)
        assert located.reason == ""


def test_edges_of_the_image_have_metres():
    camera = camera_from_message(camera_info())
    corners = [Point(0, 0), Point(640, 0), Point(0, 480), Point(640, 480)]
    for located in locate_points(corners, np.full((480, 640), 2.0, np.float32), camera, READING):
        assert located.xyz is not None and located.xyz[2] == pytest.approx(2.0)


def test_one_point_without_depth_does_not_hurt_the_others():
    values = np.full((480, 640), 2.0, np.float32)
    values[:, :320] = np.nan
    camera = camera_from_message(camera_info())
    left, right = locate_points([Point(100, 100), Point(500, 100)], values, camera, READING)
    assert left.xyz is None and "no valid depth" in left.reason
    assert right.xyz is not None


def test_rectified_images_use_p_without_distortion():
    info = camera_info(d=[0.3, 0.1, 0.0, 0.0, 0.0])
    camera = camera_from_message(info, rectified=True)
    assert (camera.fx, camera.cx, camera.distortion) == (500.0, 310.0, ())
    assert camera_from_message(info).distortion


def test_matrix_replaces_a_missing_camera_info():
    camera = camera_from_message(None, matrix=(50.0, 51.0, 32.0, 24.0), size=(64, 48))
    assert (camera.fx, camera.fy, camera.width) == (50.0, 51.0, 64)
    with pytest.raises(CameraInfoError, match="no camera_info has arrived"):
        camera_from_message(None, matrix=(0.0, 0.0, 0.0, 0.0), size=(64, 48))


def test_roi_and_binning_of_the_message_are_used():
    info = camera_info(binning_x=2, binning_y=2)
    info.roi.x_offset, info.roi.width, info.roi.height = 40, 400, 480
    camera = camera_from_message(info)
    assert (camera.width, camera.height, camera.fx, camera.cx) == (
        200,
        240,
        300.0,
        (319.5 - 40 + 0.5) / 2 - 0.5,
    )
