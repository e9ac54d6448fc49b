# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The arguments of the launch file, as ROS arguments."""

import json

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from molmo_ros.check.check_process import ArgumentError, ros_arguments  # noqa: E402


def pairs(*given):
    result = ros_arguments(given)
    assert result[0] == "--ros-args"
    return set(zip(result[1::2], result[2::2], strict=True))


def test_topics_and_parameters():
    assert ros_arguments([]) == []
    assert pairs("image:=/c/image", "use_sim_time:=true", "target_frame:=7", "max_frame_age:=2.0") == {
        ("-r", "image:=/c/image"),
        ("-r", "image/compressed:=/c/image/compressed"),
        ("-p", "use_sim_time:=true"),
        ("-p", 'target_frame:="7"'),  # text, not a number
        ("-p", "max_frame_age:=2.0"),
    }


def test_several_cameras():
    found = pairs("cameras:=wrist, head", "depth:=/{camera}/d", "params_file:=my.yaml", "namespace:=robot1")
    assert ("-p", "cameras:=" + json.dumps(["wrist", "head"])) in found
    assert {("-r", "wrist/depth:=/wrist/d"), ("-r", "head/depth:=/head/d")} <= found
    assert {("--params-file", "my.yaml"), ("-r", "__ns:=/robot1")} <= found


@pytest.mark.parametrize("given", ["red cube", "image", "colour:=/x", "image=/x"])
def test_what_is_no_argument_names_those_that_are(given):
    with pytest.raises(ArgumentError, match="camera_info.*use_sim_time"):
        ros_arguments([given])


def test_a_topic_that_leaves_open_whose_it_is():
    with pytest.raises(ValueError, match="of several cameras it must contain {camera}"):
        ros_arguments(["cameras:=a,b", "image:=/x"])
