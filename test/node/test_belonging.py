# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A running node told, over DDS, that its inputs do not belong together."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray

DEPTH = True


def see(robot, make, picture="color_optical", depth="color_optical", info="color_optical", k=None):
    """A frame whose messages name these frames."""
    messages = make.picture(), make.depth(np.full((48, 64), 2.0)), make.info()
    stamp = robot.now()
    if k is not None:
        messages[2].k = k
    for message, frame in zip(messages, (picture, depth, info), strict=True):
        message.header.stamp, message.header.frame_id = stamp, frame
    for name, message in zip(
        ("camera_info", "depth", "image"), (messages[2], messages[1], messages[0]), strict=True
    ):
        robot.publish(name, message)
    robot.spin(0.3)


@pytest.fixture(autouse=True)
def defaults(running):
    running.set(
        max_frame_age=60.0, target_frame="", depth_is_aligned=False, trust_camera_info=False, optical_frame=""
    )


@pytest.mark.parametrize(
    ("frames", "parameter"),
    [({"depth": "depth_optical"}, "depth_is_aligned"), ({"info": "depth_optical"}, "trust_camera_info")],
)
def test_another_camera_is_refused_until_the_user_says_that_it_is_not(running, make, frames, parameter):
    see(running, make, **frames)
    result = running.ask("at 0.5,0.5")
    assert result["status"] == "NO_DEPTH" and result["points"][0]["xyz"] is None
    assert all(word in result["reason"] for word in ("'depth_optical'", "'color_optical'", parameter))
    running.set(**{parameter: True})
    see(running, make, **frames)
    result = running.ask("at 0.5,0.5")
    assert (result["status"], result["position_frame"]) == ("FOUND", "color_optical")
    assert result["points"][0]["xyz"] == pytest.approx([0, 0, 2.0])


def test_slashes_and_empty_names_are_no_difference(running, make):
    for frames in ({"depth": "/color_optical", "info": ""}, {"picture": "/color_optical", "depth": ""}):
        see(running, make, **frames)
        result = running.ask("at 0.5,0.5")
        assert (result["status"], result["position_frame"]) == ("FOUND", "color_optical")


def test_calibration_of_another_resolution_until_the_matrix_is_given(running, make):
    for k in ([30.0, 0, 16.5, 0, 30.0, 12.5, 0, 0, 1.0], [277.0, 0, 160.0, 0, 277.0, 120.0, 0, 0, 1.0]):
        see(running, make, k=k)
        result = running.ask("at 0.75,0.5")
        assert result["status"] == "NO_DEPTH"
        assert "64x48" in result["reason"] and "camera_matrix" in result["reason"]
    running.set(camera_matrix=[60.0, 60.0, 31.5, 23.5])
    result = running.ask("at 0.75,0.5")
    running.set(camera_matrix=[0.0, 0.0, 0.0, 0.0])
    assert result["points"][0]["xyz"] == pytest.approx([2.0 * 16 / 60, 0, 2.0])


def test_a_simulators_frame_until_the_optical_one_is_named(running, make):
    name = "camera/link/rgbd"
    see(running, make, name, name, name)
    result = running.ask("at 0.5,0.5")
    assert (
        result["status"] == "NO_DEPTH"
        and name in result["reason"]
        and "set optical_frame to" in result["reason"]
    )
    assert running.set(optical_frame="camera_optical") == ""
    see(running, make, name, name, name)
    result = running.ask("at 0.5,0.5")
    assert (result["status"], result["frame_id"], result["position_frame"]) == (
        "FOUND",
        name,
        "camera_optical",
    )


def test_what_is_taken_for_granted_is_in_the_diagnostics(running, make):
    heard = []
    subscription = running.node.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    see(running, make, "cam", "cam", "")
    assert running.ask("at 0.5,0.5")["status"] == "FOUND"

    def assumed():
        cameras = [one for array in heard for one in array.status if one.name.endswith("camera camera")]
        return cameras and {one.key: one.value for one in cameras[-1].values}["assumed"]

    running.spin_until(lambda: "'cam' is optical" in (assumed() or ""))
    assert "camera_info has no frame_id" in assumed()
    running.node.destroy_subscription(subscription)


def test_target_frame_with_a_slash_is_published_without(running, make):
    running.set(target_frame="/color_optical")
    see(running, make)
    result = running.ask("at 0.5,0.5")
    assert (result["status"], result["position_frame"]) == ("FOUND", "color_optical")
    running.set(target_frame="x" * 1_000_000)
    result = running.ask("at 0.5,0.5")
    assert (
        result["status"] == "NO_TRANSFORM" and len(result["reason"]) < 500 and "1000000" in result["reason"]
    )


def test_one_optical_frame_for_one_camera(running):
    assert "NAME=FRAME" in running.set(optical_frame="one two")
    assert running.set(optical_frame="camera=one") == ""
