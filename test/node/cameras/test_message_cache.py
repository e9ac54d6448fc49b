# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Messages by stamp: within a span and a number of bytes."""

import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import Image  # noqa: E402

from molmo_ros.node.cameras.message_cache import MessageCache  # noqa: E402


def message(nanosec, name="", size=10):
    one = Image(encoding=name, data=bytes(size))
    one.header.stamp.nanosec = nanosec
    return one


def stamps(cache, *times):
    return [[one.header.stamp.nanosec for one in cache.around(time)] for time in times]


def test_neighbours_of_a_stamp_whatever_the_order_of_arrival():
    cache = MessageCache(100, 1000)
    assert cache.around(5) == []
    for stamp in (10, 40, 20, 30):
        cache.add(message(stamp))
    assert stamps(cache, 5, 10, 20, 25, 41) == [[10], [10, 20], [20, 30], [20, 30], [40]]


def test_of_equal_stamps_the_newest_is_kept():
    cache = MessageCache(100, 1000)
    for name in ("first", "second", "third"):
        cache.add(message(0, name))
    cache.add(message(7, "other"))
    assert len(cache) == 2 and [one.encoding for one in cache.around(0)] == ["third", "other"]


def test_what_is_out_of_the_span_of_the_last_one_is_forgotten():
    cache = MessageCache(50, 1000)
    for stamp in (0, 40, 60, 90):
        cache.add(message(stamp))
    assert stamps(cache, 0, 50) == [[40], [40, 60]]
    cache.add(message(15))  # time goes back
    assert stamps(cache, 20, 100) == [[15, 40], [60]]
    cache.span = 10
    cache.add(message(16))
    assert stamps(cache, 0, 100) == [[15], [16]]


def test_bytes_are_bounded_and_the_last_one_stays():
    cache = MessageCache(10**9, 100)
    for stamp in range(1000):
        cache.add(message(stamp, size=30))
        assert len(cache) <= 3
    assert stamps(cache, 0, 2000) == [[997], [999]]
    cache.add(message(1000, size=500))
    assert stamps(cache, 2000) == [[1000]] and len(cache) == 1
    cache.clear()
    assert len(cache) == 0 and cache.around(1000) == []
