# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What comes out for good input: metres, pixels, header, kinds of query."""

import math

import numpy as np
import pytest

DEPTH = True


def test_point_in_metres_with_the_images_own_header(running, make):
    image, depth, info = make.picture(), make.depth(np.full((48, 64), 2.0)), make.info()
    for message in (image, depth, info):
        message.header.frame_id = "wrist_optical"
    stamp = running.send_frame(image, depth, info)
    result = running.ask("at 0.75,0.5")
    assert result["status"] == "FOUND"
    running.spin_until(lambda: running.heard["point"] and running.heard["points"] and running.heard["pixels"])
    for name in ("point", "points", "pixels"):
        assert running.heard[name][0].header == image.header
    assert result["stamp"] == {"sec": stamp.sec, "nanosec": stamp.nanosec}
    assert result["frame_id"] == "wrist_optical"
    # Pixel 48 of the image edge is 47.5 from the first centre: 16 px right of the principal point 31.5.
    point = running.heard["point"][0].point
    assert (point.x, point.y, point.z) == pytest.approx((2.0 * 16 / 60, 0.0, 2.0), abs=1e-6)
    assert result["points"][0]["xyz"] == pytest.approx([point.x, point.y, point.z], abs=1e-5)
    pose = running.heard["pixels"][0].poses[0]
    assert (pose.position.x, pose.position.y, pose.position.z, pose.orientation.w) == (48.0, 24.0, 0.0, 1.0)
    assert 0 <= result["frame_age_ms"] <= result["age_ms"]
    assert result["reason"] == ""


def test_nearest_of_several_points_is_the_best(running, make):
    depth = np.full((48, 64), 3.0)
    depth[:, 32:] = 1.0
    running.send_frame(make.picture(), make.depth(depth), make.info())
    result = running.ask("at 0.2,0.5 0.8,0.5")
    assert [round(point["xyz"][2], 3) for point in result["points"]] == [3.0, 1.0]
    running.spin_until(lambda: running.heard["point"] and running.heard["points"])
    assert running.heard["point"][0].point.z == pytest.approx(1.0)
    assert len(running.heard["points"][0].poses) == 2


def test_not_found_publishes_a_result_and_empty_arrays(running):
    stamp = running.send_frame()
    result = running.ask("the unicorn")
    assert (result["status"], result["points"]) == ("NOT_FOUND", [])
    running.spin_until(lambda: running.heard["points"] and running.heard["pixels"])
    for message in (running.heard["points"][0], running.heard["pixels"][0]):
        assert (message.poses, message.header.stamp) == ([], stamp)
    assert not running.heard["point"]
    assert [message.data for message in running.heard["answer"]] == ["There are none."]


@pytest.mark.parametrize(
    ("written", "kind", "text"),
    [
        ("what is this?", "ask", "ask: what is this?"),
        ("ask: name the colour", "ask", "ask: name the colour"),
        ("COUNT: red cubes", "count", "count: red cubes"),
        ("point: where?", "point", "There are none."),
        ("Point to the mug", "point", "There are none."),
        ("чашка 茶碗", "point", "There are none."),
    ],
)
def test_kinds_of_query(running, written, kind, text):
    running.send_frame()
    result = running.ask(written)
    assert (result["query"], result["kind"], result["text"]) == (written, kind, text)


def test_queries_are_answered_in_order(running):
    running.send_frame()
    before = len(running.heard["result"])
    for index in range(8):
        running.publish("query", _string(f"thing {index}"))
    results = [running.next_result(before + index) for index in range(8)]
    assert [result["query"] for result in results] == [f"thing {index}" for index in range(8)]


def test_many_points_without_depth_stay_finite(running, make):
    running.send_frame(make.picture(), make.depth(np.full((48, 64), np.nan)), make.info())
    result = running.ask("at " + " ".join(f"{x / 200},0.5" for x in range(200)))
    assert (result["status"], len(result["points"])) == ("NO_DEPTH", 200)
    assert all(point["xyz"] is None and math.isfinite(point["x"]) for point in result["points"])


def _string(text):
    from std_msgs.msg import String

    return String(data=text)
