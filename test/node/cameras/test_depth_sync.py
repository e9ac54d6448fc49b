# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import threading
import time

import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import Image  # noqa: E402

from molmo_ros.node.cameras import depth_sync  # noqa: E402
from molmo_ros.node.cameras.depth_sync import MAX_BYTES, SPAN, DepthSync  # noqa: E402

MS = 1_000_000


def depth(milliseconds, name=""):
    """A depth image's message of that stamp."""
    message = Image(encoding=name or f"depth {milliseconds}")
    message.header.stamp.sec, nanosec = divmod(milliseconds * MS, 10**9)
    message.header.stamp.nanosec = nanosec
    return message


def name(found):
    """The found message's name, and the reason."""
    return found[0] and found[0].encoding, found[1]


@pytest.fixture
def sync():
    return DepthSync()


def test_nearest_stamp_within_tolerance(sync):
    for stamp in (1, 33, 66, 100):
        sync.put(depth(stamp))
    sync.want(70 * MS)
    assert name(sync.collect(0.02, 0.0)) == ("depth 66", "")
    sync.want(85 * MS)
    message, reason = sync.collect(0.002, 0.0)
    assert message is None
    assert "0.015 s apart, the tolerance is 0.002 s" in reason


def test_match_survives_more_frames_than_are_buffered(sync):
    """A slow inference: its depth comes at the start, and a hundred others follow."""
    sync.put(depth(10, "mine"))
    sync.want(10 * MS)
    for index in range(1, 300):
        sync.put(depth(33 * index, "later"))
    assert name(sync.collect(0.02, 0.0)) == ("mine", "")


def test_depth_that_comes_after_its_picture(sync):
    sync.put(depth(1, "early"))
    sync.want(33 * MS)
    sync.put(depth(30, "near"))
    sync.put(depth(33, "exact"))
    sync.put(depth(36, "late"))
    assert name(sync.collect(0.02, 0.0)) == ("exact", "")


def test_waits_for_depth_that_is_on_its_way(sync):
    sync.put(depth(1, "early"))
    sync.want(33 * MS)
    timer = threading.Timer(0.05, sync.put, (depth(33, "mine"),))
    timer.start()
    assert name(sync.collect(0.01, 10.0)) == ("mine", "")
    timer.join()


def test_does_not_wait_in_vain(sync):
    """No depth camera at all, or the moment has passed: waiting 60 s would be the failure."""
    started = time.monotonic()
    sync.want(100 * MS)
    assert sync.collect(0.01, 60.0) == (None, "no depth image has arrived")
    sync.put(depth(50, "before"))
    sync.put(depth(500, "after"))
    assert sync.collect(0.01, 60.0)[0] is None
    assert time.monotonic() - started < 30


def test_a_reason_for_forgetting_everything_holds_until_the_next_image(sync):
    sync.clear()
    assert sync.nearest(100 * MS, 0.01, 0.0) == (None, "no depth image has arrived")
    sync.put(depth(100, "other time"))
    sync.want(100 * MS)
    sync.clear("the clock went back by 3 s")
    assert sync.collect(0.01, 0.0) == (None, "no depth image has arrived since the clock went back by 3 s")
    sync.put(depth(500))
    assert "0.400 s apart" in sync.collect(0.01, 0.0)[1]
    sync.clear()  # deactivated and activated: no word of a clock
    assert sync.nearest(100 * MS, 0.01, 60.0) == (None, "no depth image has arrived")


def test_depth_of_a_waiting_picture_is_kept_however_much_comes_after_it(sync):
    """Pictures at 0.2 Hz beside depth at 30 Hz, asked about when the next one is due."""
    sync.put(depth(30, "mine"))
    sync.expect(33 * MS)
    for index in range(2, 180):
        sync.put(depth(33 * index, "later"))
    sync.want(33 * MS)
    assert name(sync.collect(0.02, 0.0)) == ("mine", "")
    assert name(sync.nearest(33 * MS, 0.02, 0.0)) == ("mine", "")


def test_depth_of_a_late_picture_is_still_there(sync):
    for index in range(1, 90):
        sync.put(depth(33 * index))
    late = 33 * (89 - 54)  # 1.8 s ago
    sync.expect(late * MS)
    sync.want(late * MS)
    assert name(sync.collect(0.002, 0.0)) == (f"depth {late}", "")
    assert SPAN == 2.0


def test_depth_is_kept_as_long_as_it_is_wanted_within_its_bytes(sync, monkeypatch):
    sync.keep(20.0)
    for index in range(1, 500):
        sync.put(depth(33 * index))
    assert name(sync.nearest(33 * MS, 0.002, 0.0)) == ("depth 33", "")
    monkeypatch.setattr(depth_sync, "MAX_BYTES", 100)
    small = DepthSync()
    small.keep(20.0)
    for index in range(1, 50):
        image = depth(33 * index)
        image.data = bytes(30)
        small.put(image)
    assert small.nearest(33 * MS, 0.002, 0.0)[0] is None
    assert name(small.nearest(33 * 47 * MS, 0.002, 0.0)) == (f"depth {33 * 47}", "")
    assert MAX_BYTES <= 128 * 2**20


def test_of_equal_stamps_the_newest(sync):
    for number in range(5):
        sync.put(depth(40, f"number {number}"))
    sync.want(40 * MS)
    sync.put(depth(40, "newest"))
    assert name(sync.collect(0.0, 0.0)) == ("newest", "")
    assert name(sync.nearest(40 * MS, 0.0, 0.0)) == ("newest", "")


def test_depth_without_stamps_is_of_no_picture_and_says_so(sync):
    for stamp in (0, 40 * MS):
        sync.put(depth(0))
        found, reason = sync.nearest(stamp, 10.0, 60.0)
        assert found is None and "no stamp" in reason


def test_nearest_of_any_stamp_waits_for_one_on_its_way(sync):
    assert sync.nearest(0, 0.01, 60.0) == (None, "no depth image has arrived")
    for stamp in (1, 33, 66):
        sync.put(depth(stamp))
    assert name(sync.nearest(40 * MS, 0.01, 60.0)) == ("depth 33", "")
    assert sync.nearest(50 * MS, 0.01, 60.0)[0] is None  # a later one is here already
    timer = threading.Timer(0.05, sync.put, (depth(100),))
    timer.start()
    assert name(sync.nearest(99 * MS, 0.01, 10.0)) == ("depth 100", "")
    timer.join()


def test_a_stamp_before_1970_is_of_no_picture(sync):
    sync.put(depth(-1000))
    assert sync.nearest(0, 5.0, 0.0)[0] is None
    sync.put(depth(1))
    assert sync.nearest(-1000 * MS, 0.1, 0.0)[0] is None
