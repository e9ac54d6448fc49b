import sys
import threading
import time
from importlib.util import find_spec

import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import Image  # noqa: E402

from molmo_ros.node import installed_ros  # noqa: E402
from molmo_ros.node.cameras.depth_sync import BUFFERED, DepthSync  # noqa: E402

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


@pytest.fixture(params=["own", "message_filters"] if find_spec("message_filters") else ["own"])
def sync(request, monkeypatch):
    installed_ros._load.cache_clear()
    if request.param == "own":
        monkeypatch.setitem(sys.modules, "message_filters", None)
    yield DepthSync()
    installed_ros._load.cache_clear()


def test_nearest_stamp_within_tolerance(sync):
    for stamp in (0, 33, 66, 100):
        sync.put(depth(stamp))
    sync.want(70 * MS)
    assert name(sync.collect(0.02, 0.0)) == ("depth 66", "")
    sync.want(85 * MS)
    message, reason = sync.collect(0.002, 0.0)
    assert message is None
    assert "0.015 s apart, the tolerance is 0.002 s" in reason


def test_match_survives_more_frames_than_are_buffered(sync):
    """A slow inference: its depth comes at the start, and a hundred others follow."""
    sync.put(depth(0, "mine"))
    sync.want(0)
    for index in range(1, 10 * BUFFERED):
        sync.put(depth(33 * index, "later"))
    assert name(sync.collect(0.02, 0.0)) == ("mine", "")


def test_depth_that_comes_after_its_picture(sync):
    sync.put(depth(0, "early"))
    sync.want(33 * MS)
    sync.put(depth(30, "near"))
    sync.put(depth(33, "exact"))
    sync.put(depth(36, "late"))
    assert name(sync.collect(0.02, 0.0)) == ("exact", "")


def test_waits_for_depth_that_is_on_its_way(sync):
    sync.put(depth(0, "early"))
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


def test_clock_jump_forgets_everything(sync):
    sync.put(depth(100, "other time"))
    sync.want(100 * MS)
    sync.clear()
    message, reason = sync.collect(0.01, 0.0)
    assert message is None and reason


def test_nearest_of_any_stamp_waits_for_one_on_its_way(sync):
    assert sync.nearest(0, 0.01, 60.0) == (None, "no depth image has arrived")
    for stamp in (0, 33, 66):
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
    sync.put(depth(0))
    assert sync.nearest(-1000 * MS, 0.1, 0.0)[0] is None
