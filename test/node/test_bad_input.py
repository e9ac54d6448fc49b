# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Bad input: a clear result each time, and the next good frame is answered."""

import array
import re

import numpy as np
import pytest
from builtin_interfaces.msg import Time

from molmo_ros.node.records.query import MAX_QUERY_CHARS

DEPTH = True


@pytest.fixture
def good(running, make):
    """After the test a good frame must be answered with metres."""
    yield running
    running.send_frame(make.picture(), make.depth(np.full((48, 64), 1.5)), make.info())
    result = running.ask("at 0.5,0.5")
    assert result["status"] == "FOUND"
    assert result["points"][0]["xyz"][2] == pytest.approx(1.5)


def test_no_image_yet(good):
    result = good.ask("at 0.5,0.5")
    assert result["status"] == "NO_IMAGE"
    assert "/image" in result["reason"]
    assert (result["stamp"], result["frame_age_ms"]) == ({"sec": 0, "nanosec": 0}, 0)


def _bad_pictures(make):
    short = make.picture()
    short.data = short.data[:100]
    empty = make.picture()
    empty.width, empty.height, empty.step, empty.data = 0, 0, 0, array.array("B")
    step = make.picture()
    step.step = 17
    encoding = make.picture()
    encoding.encoding = "jpeg2000"
    depth = make.picture()
    depth.encoding = "32FC1"
    return {
        "100 bytes": short,
        "0x0": empty,
        "step is 17": step,
        "valid: rgb8": encoding,
        "is this the depth topic": depth,
    }


@pytest.mark.parametrize(
    "message", ["100 bytes", "0x0", "step is 17", "valid: rgb8", "is this the depth topic"]
)
def test_bad_picture(good, make, message):
    good.send_frame(_bad_pictures(make)[message])
    result = good.ask("at 0.5,0.5")
    assert result["status"] == "ERROR"
    assert message in result["reason"]
    assert result["stamp"]["sec"] > 0


def test_one_pixel_picture(good, make):
    good.send_frame(make.picture(1, 1), make.depth([[0.8]]), make.info(1, 1))
    result = good.ask("at 0.5,0.5")
    assert result["status"] == "FOUND"  # a principal point at the only pixel's middle is the image's centre
    assert result["points"][0]["xyz"] == pytest.approx([0.0, 0.0, 0.8])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("small depth", "depth is 32x24, the image is 64x48"),
        ("all invalid", "no valid depth within 7x7 px"),
        ("no overlap in time", "tolerance"),
        ("zero K", "not calibrated"),
        ("K of another size", "contradicts the image size"),
        ("info of another size", "camera_info describes an image of 128x96"),
        ("too far", "outside the range"),
        ("depth encoding", "unknown depth encoding 'rgb8'"),
    ],
)
def test_no_metres_has_a_reason_and_keeps_the_pixels(good, make, change, reason):
    depth, info = make.depth(np.full((48, 64), 1.0)), make.info()
    if change == "small depth":
        depth = make.depth(np.full((24, 32), 1.0))
    elif change == "all invalid":
        depth = make.depth(np.full((48, 64), np.nan))
    elif change == "too far":
        depth = make.depth(np.full((48, 64), 500.0))
    elif change == "depth encoding":
        depth = make.picture()
    elif change == "zero K":
        info.k = [0.0] * 9
    elif change == "K of another size":
        info.k = [600.0, 0.0, 320.0, 0.0, 600.0, 240.0, 0.0, 0.0, 1.0]
    elif change == "info of another size":
        info = make.info(128, 96)
    elif change == "no overlap in time":
        good.send_frame(make.picture(), depth, info)
        good.spin(0.2)
        depth = None
    good.send_frame(make.picture(), depth, info)
    result = good.ask("at 0.5,0.5")
    assert result["status"] == "NO_DEPTH"
    assert result["points"][0]["xyz"] is None and result["position_frame"] == ""
    assert reason in result["points"][0]["reason"] and reason in result["reason"]
    good.spin_until(lambda: good.heard["pixels"])
    assert not good.heard["point"] and not good.heard["points"]


def test_depth_that_is_lost_on_the_way_is_told_with_what_cures_it(good, make):
    """Of a camera of 30 Hz every third depth image does not arrive, and that of the picture is one of them."""
    begin, period = good.node.get_clock().now().nanoseconds - 10**9, 33_333_333
    depth, stamps = make.depth(np.full((48, 64), 1.0)), []
    for number in range(60):
        if number % 3 != 2:
            stamps.append(begin + number * period)
            depth.header.stamp = Time(sec=stamps[-1] // 10**9, nanosec=stamps[-1] % 10**9)
            depth.header.frame_id = "camera_optical"
            good.publish("depth", depth)
            good.spin(0.02)  # the queue is short
    lost = stamps[-1] + period
    good.send_frame(make.picture(), None, make.info(), Time(sec=lost // 10**9, nanosec=lost % 10**9))
    reason = good.ask("at 0.5,0.5")["reason"]
    assert "the depth image of that moment never arrived" in reason and "tolerance" not in reason
    assert re.search(r"gap in their stamps; 3\d% of them are lost", reason)
    assert "reliability to reliable" in reason and "fastdds_shm.xml" in reason


@pytest.mark.parametrize("text", ["", "   \n", "ask:", "point to "])
def test_empty_query(good, text):
    good.send_frame()
    result = good.ask(text)
    assert (result["status"], result["reason"]) == ("ERROR", "the query is empty")


def test_huge_query_is_refused_and_not_repeated(good):
    good.send_frame()
    result = good.ask("a" * 100_000)
    assert result["status"] == "ERROR"
    assert "100000 characters" in result["reason"] and str(MAX_QUERY_CHARS) in result["reason"]
    assert len(result["query"]) < 300


def test_control_characters_and_special_tokens(good):
    good.send_frame()
    result = good.ask("<|im_start|>\x01\x1b[31m")
    assert result["status"] == "ERROR"
    assert "special tokens" in result["reason"]
    assert result["query"] == "<|im_start|>\x01\x1b[31m"


def test_error_of_the_model(good):
    good.send_frame()
    result = good.ask("boom")
    assert (result["status"], result["reason"]) == ("ERROR", "RuntimeError: out of memory")


def test_too_many_waiting_queries_are_refused(good):
    good.send_frame()
    before = len(good.heard["result"])
    good.publish("query", _string("sleep 2 slow"))
    good.spin(0.3)
    for index in range(20):
        good.publish("query", _string(f"thing {index}"))
    good.spin_until(lambda: len(good.heard["result"]) >= before + 21)
    refused = [result.query for result in good.heard["result"][before:] if result.status == "BUSY"]
    assert refused == [f"thing {index}" for index in range(16, 20)]


def test_every_query_of_a_flood_has_a_result(good):
    from rclpy.qos import QoSProfile

    good.send_frame()
    before = len(good.heard["result"])
    flood = good.node.create_publisher(type(_string("")), "query", QoSProfile(depth=300))
    good.spin_until(lambda: flood.get_subscription_count())
    good.spin(0.3)
    for index in range(200):
        flood.publish(_string(f"thing {index}"))
    good.spin_until(lambda: len(good.heard["result"]) >= before + 200)
    good.node.destroy_publisher(flood)
    asked = {result.query for result in good.heard["result"][before:]}
    assert asked == {f"thing {index}" for index in range(200)}


def _string(text):
    from std_msgs.msg import String

    return String(data=text)
