# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a camera keeps of what comes, on a clock that this test sets."""

import threading

import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from molmo_ros.geometry import CameraInfoError  # noqa: E402
from molmo_ros.node.cameras.camera_input import CameraInput, camera_inputs  # noqa: E402

S = 10**9


class Clocked:
    """A camera, the clock that it reads, and the frames that it handed on."""

    def __init__(self):
        self.now, self.seen = 20 * S, []
        self.camera = CameraInput("camera", "", lambda _, frame: self.seen.append(frame.stamp / S))
        self.camera.now = lambda: self.now

    def back_to(self, seconds):
        by, self.now = self.now - round(seconds * S), round(seconds * S)
        self.camera.jumped(by)

    def image(self, seconds):
        self.camera.on_image(stamped(seconds))

    def newest(self):
        frame = self.camera.frames.newest()
        return frame and frame.stamp / S


def stamped(seconds, kind=Image):
    message = kind()
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(round(seconds * S), S)
    return message


@pytest.fixture
def clocked():
    return Clocked()


def test_a_picture_from_before_a_reset_is_not_used_whenever_it_comes(clocked):
    clocked.image(19.9)
    clocked.back_to(0.1)
    assert clocked.newest() is None and "went back by 19.9 s" in clocked.camera.cleared
    clocked.image(19.95)  # it was on its way
    assert clocked.newest() is None and clocked.camera.cleared
    clocked.image(0.12)
    assert clocked.newest() == 0.12 and clocked.camera.cleared == ""
    clocked.now = 15 * S
    clocked.image(19.99)  # very late
    assert clocked.newest() == 0.12 and clocked.seen == [19.9, 0.12] and clocked.camera.from_before == 2
    clocked.now = round(19.95 * S)
    assert clocked.newest() != 19.95  # it is not waiting for its time to come again


def test_depth_from_before_a_reset_is_not_used_whenever_it_comes(clocked):
    clocked.camera.on_depth(stamped(5.0))
    clocked.back_to(0.1)
    clocked.camera.on_depth(stamped(5.0))
    clocked.now = round(4.99 * S)
    clocked.image(5.0)
    found, reason = clocked.camera.depths.nearest(5 * S, 0.02, 0.0)
    assert found is None and "since the clock went back" in reason
    clocked.camera.on_depth(stamped(5.001))
    assert clocked.camera.depths.nearest(5 * S, 0.02, 0.0)[0] is not None


def test_that_cameras_may_be_silent_until_the_time_comes_again_is_told_that_long(clocked):
    assert clocked.camera.silence_now() == ""
    clocked.back_to(0.1)
    assert "start it anew" in clocked.camera.silence_now()
    clocked.now = 20 * S
    assert clocked.camera.silence_now() == ""


def test_cameras_that_name_one_frame(clocked):
    left, right, other = cameras = [*camera_inputs(["left", "right", "other"], lambda *_: None).values()]
    for camera, frame in zip(cameras, ("/head_optical", "head_optical", "wrist_optical"), strict=True):
        message = stamped(1.0)
        message.header.frame_id = frame
        camera.on_image(message)
    assert "left, right all name the frame 'head_optical'" in left.shared_frame()
    assert "'right=FRAME left=FRAME'" in right.shared_frame()
    assert other.shared_frame() == ""


def test_without_a_jump_the_clock_is_not_asked(clocked):
    """Pictures of any age may be accepted, as of a camera whose clock is ahead."""
    clocked.image(25.0)
    assert clocked.newest() == 25.0
    clocked.camera.jumped(0)  # another clock took over
    clocked.image(25.0)
    assert clocked.newest() == 25.0


def calibrated():
    info = CameraInfo(width=64, height=48, k=[60.0, 0, 31.5, 0, 60.0, 23.5, 0, 0, 1.0])
    info.header.frame_id = "optical"
    return info


def test_the_first_calibration_is_waited_for_but_in_vain_only_once(clocked):
    with pytest.raises(CameraInfoError, match="no camera_info"):
        clocked.camera.calibration(64, 48, patience=0.05)
    with pytest.raises(CameraInfoError, match="no camera_info"):
        clocked.camera.calibration(64, 48, patience=3600.0)
    fresh = Clocked().camera
    timer = threading.Timer(0.1, fresh.on_info, (calibrated(),))
    timer.start()
    assert fresh.calibration(64, 48, patience=60.0).fx == 60.0
    timer.join()


def test_a_matrix_of_the_user_is_not_waited_for(clocked):
    assert clocked.camera.calibration(64, 48, matrix=(60.0, 60.0, 31.5, 23.5), patience=3600.0).fx == 60.0


def test_a_second_camera_of_a_stereo_pair_says_so(clocked):
    info = calibrated()
    info.p = [60.0, 0, 31.5, -3.0, 0, 60.0, 23.5, 0, 0, 0, 1.0, 0]
    clocked.camera.on_info(info)
    assert clocked.camera.calibration(64, 48).fx == 60.0  # K has no translation
    with pytest.raises(CameraInfoError, match="Tx=-3.*'optical'.*trust_camera_info"):
        clocked.camera.calibration(64, 48, rectified=True)
    assert clocked.camera.calibration(64, 48, rectified=True, trusted=True).fx == 60.0
