"""The last few messages by stamp, from either implementation."""

import sys
import types

import pytest

pytest.importorskip("rclpy")

from rclpy.clock import ClockType  # noqa: E402
from rclpy.time import Time  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from molmo_ros.node import installed_ros  # noqa: E402
from molmo_ros.node.cameras.message_cache import OwnCache, message_cache  # noqa: E402


@pytest.fixture(autouse=True)
def looked_for_anew():
    installed_ros._load.cache_clear()
    yield
    installed_ros._load.cache_clear()


def message(nanosec):
    one = Image()
    one.header.stamp.nanosec = nanosec
    return one


def at(nanoseconds):
    return Time(nanoseconds=nanoseconds, clock_type=ClockType.ROS_TIME)


def test_neighbours_of_a_stamp_whatever_the_order_of_arrival():
    cache = OwnCache(3)
    assert cache.getElemBeforeTime(at(5)) is None and cache.getElemAfterTime(at(5)) is None
    for stamp in (10, 40, 20, 30):  # 10 came first, and is one too many
        cache.add(message(stamp))
    stamps = [
        [
            one and one.header.stamp.nanosec
            for one in (cache.getElemBeforeTime(at(t)), cache.getElemAfterTime(at(t)))
        ]
        for t in (10, 20, 25, 41)
    ]
    assert stamps == [[None, 20], [20, 20], [20, 30], [40, None]]


def test_message_filters_is_used_where_it_is_installed(monkeypatch):
    """It comes with an installed ROS only; a stand-in with its interface shows what is asked of it."""
    module = types.ModuleType("message_filters")

    class Cache(OwnCache):
        def __init__(self, source, cache_size=1):
            assert isinstance(source, module.SimpleFilter)
            super().__init__(cache_size)

    module.SimpleFilter, module.Cache = type("SimpleFilter", (), {}), Cache
    monkeypatch.setitem(sys.modules, "message_filters", module)
    installed_ros._load.cache_clear()
    cache = message_cache(2)
    assert type(cache) is Cache
    cache.add(message(7))
    assert cache.getElemAfterTime(at(7)).header.stamp.nanosec == 7


def test_without_it_the_own_one_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "message_filters", None)
    assert type(message_cache(2)) is OwnCache


def test_the_first_to_come_is_the_first_to_go_even_where_time_goes_back():
    cache = OwnCache(2)
    for stamp in (100, 110, 20):
        cache.add(message(stamp))
    assert cache.getElemBeforeTime(at(30)).header.stamp.nanosec == 20
    assert cache.getElemBeforeTime(at(105)).header.stamp.nanosec == 20
