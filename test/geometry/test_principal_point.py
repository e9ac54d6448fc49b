# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which resolution a camera matrix was made for, by where its principal point lies."""

import numpy as np
import pytest

from molmo_ros.geometry import CameraInfoError, PinholeCamera
from molmo_ros.geometry.principal_point import contradiction

# width, height, fx, fy, cx, cy: published calibrations of real cameras.
REAL = {
    "Kinect, TUM RGB-D freiburg1": (640, 480, 517.3, 516.5, 318.6, 255.3),
    "Kinect, TUM RGB-D freiburg2": (640, 480, 520.9, 521.0, 325.1, 249.7),
    "EuRoC cam0": (752, 480, 458.654, 457.296, 367.215, 248.375),
    "EuRoC cam1": (752, 480, 457.587, 456.134, 379.999, 255.238),
    "KITTI colour": (1242, 375, 721.5377, 721.5377, 609.5593, 172.854),
    "nuScenes front": (1600, 900, 1266.417, 1266.417, 816.267, 491.507),
    "RealSense D435 colour": (1280, 720, 917.2, 917.6, 647.5, 367.9),
    "ideal": (640, 480, 554.4, 554.4, 319.5, 239.5),
    "Gazebo, 60 degrees, its own size": (320, 240, 277.0, 277.0, 160.0, 120.0),
}


@pytest.mark.parametrize("name", REAL)
def test_real_lenses_are_believed(name):
    width, height, *k = REAL[name]
    assert contradiction(*k, width, height) == ""


@pytest.mark.parametrize(
    "size", [(424, 240), (480, 270), (480, 360), (512, 384), (600, 400), (340, 256), (640, 480)]
)
@pytest.mark.parametrize("focal", [277.0, 277.1, 277.19])
def test_a_simulators_default_is_refused_by_value(size, focal):
    reason = contradiction(focal, focal, 160.0, 120.0, *size)
    assert f"{size[0]}x{size[1]}" in reason and "about 320x240" in reason


def test_the_default_is_known_at_sizes_where_its_centre_would_pass():
    assert "<intrinsics>" in contradiction(277.0, 277.0, 160.0, 120.0, 330, 246)


SIZES = [
    (320, 240),
    (424, 240),
    (480, 270),
    (640, 360),
    (640, 400),
    (640, 480),
    (848, 480),
    (960, 540),
    (1280, 720),
]
SIZES += [(1280, 800), (1280, 960), (1920, 1080)]


def matrix_of(size, rng):
    """A lens of 70 degrees at that size, its centre up to 6 px beside the sensor's."""
    width, height = size
    focal = width / 2 / np.tan(np.radians(35))
    x, y = rng.uniform(-6, 6, 2) * width / 1280
    return focal, focal, width / 2 - 0.5 + x, height / 2 - 0.5 + y


@pytest.mark.parametrize("size", SIZES)
def test_a_matrix_of_another_resolution_is_refused_and_the_own_one_is_not(size):
    rng = np.random.default_rng(0)
    for other in SIZES * 3:
        reason = contradiction(*matrix_of(other, rng), *size)
        assert (reason == "") == (other == size), (other, size)


@pytest.mark.parametrize(("cx", "cy"), [(160, 120), (161, 121), (166, 127), (640, 480), (632, 470)])
def test_half_and_double_size_with_the_centre_a_few_pixels_off(cx, cy):
    with pytest.raises(CameraInfoError, match="contradicts the image size 640x480"):
        PinholeCamera.from_camera_info(k=(300, 0, cx, 0, 300, cy, 0, 0, 1), width=640, height=480)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_with_binning_the_matrix_is_that_of_the_full_resolution(factor):
    """REP-104: a driver that gives K of the binned picture, or of a larger one, is found out."""
    k = np.array([900, 0, 641.5, 0, 900, 478.5, 0, 0, 1])
    full = {"width": 1280, "height": 960, "binning": (2, 2)}
    assert PinholeCamera.from_camera_info(k=k, **full).fx == 450
    with pytest.raises(CameraInfoError, match="contradicts"):
        PinholeCamera.from_camera_info(k=k * factor + [0, 0, 1, 0, 0, 1, 0, 0, 0], **full)


def test_a_region_of_interest_may_lie_anywhere():
    camera = PinholeCamera.from_camera_info(
        k=(600, 0, 319.5, 0, 600, 239.5, 0, 0, 1), width=640, height=480, roi=(400, 300, 200, 150)
    )
    assert (camera.cx, camera.cy) == (-80.5, -60.5)


def test_what_the_user_vouches_for_is_refused_only_where_it_is_absurd():
    assert contradiction(600, 600, 400, 240, 640, 480) != ""
    assert contradiction(600, 600, 400, 240, 640, 480, trusted=True) == ""
    assert contradiction(277, 277, 160, 120, 640, 480, trusted=True) != ""
