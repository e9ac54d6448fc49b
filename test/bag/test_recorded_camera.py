# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Inputs of a recording that do not belong together, or have no stamps: decided as in the node."""

import math

import numpy as np
import pytest
from recordings import (
    LATENCY,
    OPTICAL,
    PERIOD,
    START,
    Recording,
    camera_info,
    image,
    transform,
)
from rosbags.highlevel import AnyReader

from molmo_ros.cli.main import main


def asked(recording, tmp_path, *options):
    """The one result of a query about the only picture of a recording."""
    out = tmp_path / "out.mcap"
    bag = recording.write(tmp_path / "in")
    assert main(["bag", str(bag), "--out", str(out), "--query", "mug", *options]) == 0
    with AnyReader([out]) as reader:
        connections = [one for one in reader.connections if one.topic == "/molmo_node/result"]
        (result,) = (reader.deserialize(data, one.msgtype) for one, _, data in reader.messages(connections))
    return result


def named(message, frame):
    message.header.frame_id = frame
    return message


def recorded(table, picture=OPTICAL, depth=OPTICAL, info=OPTICAL, stamp=START):
    """One picture, and the frames that its messages name."""
    recording = Recording()
    recording.add("/camera_info", named(camera_info(table, stamp), info), START + LATENCY)
    recording.add("/depth", named(image(table.depth, "32FC1", stamp), depth), START + LATENCY)
    recording.add("/image", named(image(table.rgb, "rgb8", stamp), picture), START + LATENCY)
    return recording


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ({"depth": "depth_optical"}, ["'depth_optical'", repr(OPTICAL), "depth"]),
        ({"info": "depth_optical"}, ["'depth_optical'", repr(OPTICAL), "camera_info"]),
        (dict.fromkeys(("picture", "depth", "info"), "cam/link/rgbd"), ["'cam/link/rgbd'", "optical"]),
    ],
)
def test_other_frames_are_refused(table, tmp_path, frames, words):
    result = asked(recorded(table, **frames), tmp_path)
    assert result.status == "NO_DEPTH" and not result.points[0].has_position
    assert all(word in result.reason for word in words), result.reason


def test_slashes_and_empty_names_are_no_difference(table, tmp_path):
    result = asked(recorded(table, depth="/" + OPTICAL, info=""), tmp_path, "--target-frame", "/" + OPTICAL)
    assert (result.status, result.frame_id) == ("FOUND", OPTICAL) and result.points[0].has_position


def test_a_body_frame_is_seen_by_the_recorded_transforms(table, tmp_path):
    recording = recorded(table, "cam", "cam", "cam")
    half = math.sqrt(0.5)
    recording.add(
        "/tf_static", transform("base", "cam", START, (0.0, 0.0, 1.0), (0.0, 0.0, half, half)), START
    )
    result = asked(recording, tmp_path, "--target-frame", "base")
    assert result.status == "NO_TRANSFORM" and "'base'" in result.reason and "optical_frame" in result.reason


def test_a_picture_without_a_stamp_has_no_depth(table, tmp_path):
    result = asked(recorded(table, stamp=0), tmp_path)
    assert result.status == "NO_DEPTH" and "no stamp" in result.reason and result.points[0].pixel.x > 0


def test_of_equal_stamps_the_one_recorded_with_the_picture(table, tmp_path):
    """A camera whose stamps stand still: the depth of an earlier moment is 1 m further away."""
    recording = Recording()
    for number in (-3, -2, -1, 0):
        depth = table.depth + np.float32(0.0 if number == 0 else 1.0)
        recording.add("/depth", image(depth, "32FC1", START), START + number * PERIOD + LATENCY)
    recording.add("/camera_info", camera_info(table, START), START + LATENCY)
    recording.add("/image", image(table.rgb, "rgb8", START), START + LATENCY)
    result = asked(recording, tmp_path)
    assert result.status == "FOUND" and result.points[0].position.z < 1.0
