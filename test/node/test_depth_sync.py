import threading
import time

import pytest

from molmo_ros.node.depth_sync import BUFFERED, DepthSync

MS = 1_000_000


@pytest.fixture
def sync():
    return DepthSync()


def test_nearest_stamp_within_tolerance(sync):
    for stamp in (0, 33, 66, 100):
        sync.put(stamp * MS, f"depth {stamp}")
    sync.want(70 * MS)
    assert sync.collect(0.02, 0.0) == ("depth 66", "")
    sync.want(85 * MS)
    message, reason = sync.collect(0.002, 0.0)
    assert message is None
    assert "0.015 s apart, the tolerance is 0.002 s" in reason


def test_match_survives_more_frames_than_are_buffered(sync):
    """A slow inference: its depth comes at the start, and a hundred others follow."""
    sync.put(0, "mine")
    sync.want(0)
    for index in range(1, 10 * BUFFERED):
        sync.put(index * 33 * MS, "later")
    assert sync.collect(0.02, 0.0) == ("mine", "")


def test_depth_that_comes_after_its_picture(sync):
    sync.put(0, "early")
    sync.want(33 * MS)
    sync.put(30 * MS, "near")
    sync.put(33 * MS, "exact")
    sync.put(36 * MS, "late")
    assert sync.collect(0.02, 0.0) == ("exact", "")


def test_waits_for_depth_that_is_on_its_way(sync):
    sync.put(0, "early")
    sync.want(33 * MS)
    timer = threading.Timer(0.05, sync.put, (33 * MS, "mine"))
    timer.start()
    assert sync.collect(0.01, 10.0) == ("mine", "")
    timer.join()


def test_does_not_wait_in_vain(sync):
    """No depth camera at all, or the moment has passed: waiting 60 s would be the failure."""
    started = time.monotonic()
    sync.want(0)
    assert sync.collect(0.01, 60.0) == (None, "no depth image has arrived")
    sync.put(-50 * MS, "before")
    sync.put(500 * MS, "after")
    assert sync.collect(0.01, 60.0)[0] is None
    assert time.monotonic() - started < 30


def test_clock_jump_forgets_everything(sync):
    sync.put(100 * MS, "other time")
    sync.want(100 * MS)
    sync.clear()
    message, reason = sync.collect(0.01, 0.0)
    assert message is None and reason
