# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import math
import threading

import numpy as np
import pytest

from molmo_ros.node.health.running_statistics import LatencyWindow, RateWindow, Tally


class HandClock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_percentiles_are_those_of_the_last_span():
    clock = HandClock()
    window = LatencyWindow(span=60.0, size=1000, clock=clock)
    values = np.random.default_rng(1).gamma(2.0, 0.5, 200)
    for value in values:
        window.add(value)
        clock.now += 1.0
    inside = values[-60:]  # added 1 s to 60 s ago
    assert window.median == pytest.approx(np.percentile(inside, 50))
    assert window.p95 == pytest.approx(np.percentile(inside, 95))
    clock.now += 60.0
    assert math.isnan(window.median) and math.isnan(window.p95)


def test_percentiles_of_more_values_than_fit_are_those_of_the_newest():
    window = LatencyWindow(span=60.0, size=10, clock=HandClock())
    for value in range(100):
        window.add(value)
    assert window.median == np.median(range(90, 100))


@pytest.mark.parametrize("hertz, size", [(30, 1024), (3, 1024), (30, 16), (500, 100)])
def test_rate_of_a_steady_stream(hertz, size):
    """Also of one that is faster than the window can hold."""
    clock = HandClock()
    window = RateWindow(span=5.0, size=size, clock=clock)
    for _ in range(20 * hertz):
        clock.now += 1 / hertz
        window.add()
    assert window.rate == pytest.approx(hertz, rel=0.1)


def test_rate_falls_to_zero_when_the_stream_ends():
    clock = HandClock()
    window = RateWindow(span=5.0, clock=clock)
    assert window.rate == 0.0
    for _ in range(50):
        clock.now += 0.1
        window.add()
    assert window.rate == pytest.approx(10.0, rel=0.05)
    clock.now += 2.5
    assert window.rate == pytest.approx(5.0, rel=0.05)
    clock.now += 2.6
    assert window.rate == 0.0


def test_rate_is_right_from_the_start():
    clock = HandClock()
    window = RateWindow(span=60.0, clock=clock)
    for _ in range(4):
        clock.now += 0.5
        window.add()
    assert window.rate == pytest.approx(2.0)


def test_names_beyond_the_limit_are_counted_together():
    tally = Tally(most=2)
    for name in ["late", "late", "full", "a", "b", "c", "late"]:
        tally.add(name)
    assert tally.counts() == {"full": 1, "late": 3, "other": 3}


def test_threads_lose_no_count_while_others_read():
    tally, window, rate = Tally(), LatencyWindow(size=50), RateWindow(size=50)
    errors, done = [], threading.Event()

    def read():
        try:
            while not done.is_set():
                assert sum(tally.counts().values()) <= 20_000
                assert not window.p95 > 1.0 and rate.rate >= 0
        except Exception as error:
            errors.append(error)

    def write(name):
        for _ in range(5_000):
            tally.add(name)
            window.add(0.5)
            rate.add()

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(f"thread{index % 2}",)) for index in range(4)]
    for thread in [reader, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert not errors
    assert tally.counts() == {"thread0": 10_000, "thread1": 10_000}
