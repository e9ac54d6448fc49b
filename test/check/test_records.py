# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the records of topics and of the clock say, against streams that are known."""

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from molmo_ros.check import clock_record, topic_record  # noqa: E402
from molmo_ros.check.clock_findings import clock_findings  # noqa: E402
from molmo_ros.check.clock_record import ClockRecord  # noqa: E402
from molmo_ros.check.topic_record import TopicRecord  # noqa: E402


@pytest.fixture
def moment(monkeypatch):
    """The time on the wall, which a test sets."""
    now = SimpleNamespace(value=100.0)
    for module in (clock_record, topic_record):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now.value))
    return now


def test_rate_period_and_stamps_of_a_topic(moment):
    record = TopicRecord()
    for index in range(11):
        moment.value = 100.0 + 0.5 * index  # the simulation is slow
        record.add(10**9 + index * 10**8, "camera", "640x480 rgb8")
    assert record.rate == pytest.approx(2.0) and record.period == pytest.approx(0.1)
    assert (record.count, record.unstamped, record.backward) == (11, 0, 0)
    record.add(5, "other", "640x480 rgb8")
    record.add(0, "other", "640x480 rgb8")
    assert (record.unstamped, record.backward) == (1, 2) and dict(record.frames) == {"camera": 11, "other": 2}
    moment.value += 3.0
    assert record.silent_for == pytest.approx(3.0)


class Source:
    """A node whose subscription to /clock has what a test puts in it."""

    def __init__(self, publishers=1):
        self.times, self.publishers = [], publishers
        self.handle = self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def create_subscription(self, *_):
        return self

    def take_message(self, *_):
        if not self.times:
            return None
        sec, nanosec = divmod(self.times.pop(0), 10**9)
        return SimpleNamespace(clock=SimpleNamespace(sec=sec, nanosec=nanosec)), None

    def get_publishers_info_by_topic(self, _):
        return [SimpleNamespace(node_namespace="/", node_name=f"n{i}") for i in range(self.publishers)]


def played(moment, times, seconds, publishers=1):
    source = Source(publishers)
    clock = ClockRecord(source)
    for time in times:
        source.times.append(time)
        clock.take()
        moment.value += seconds / len(times)
    clock.take()
    return clock


def told(clock, standing=""):
    return [(one.grade.value, one.text) for one in clock_findings(clock, standing, True)]


def test_a_clock_that_keeps_time_says_nothing(moment):
    clock = played(moment, [10**9 + i * 10**7 for i in range(1000)], 10.0)
    assert clock.rate == pytest.approx(100.0, rel=0.01) and clock.factor == pytest.approx(1.0, rel=0.01)
    assert told(clock) == []


def test_a_slow_simulation(moment):
    ((grade, text),) = told(played(moment, [10**9 + i * 10**6 for i in range(1000)], 10.0))
    assert grade == "WARNING" and "at 0.10 of real time" in text


def test_a_clock_that_stands_and_one_that_goes_back(moment):
    ((grade, text),) = told(played(moment, [7 * 10**9] * 1000, 10.0), standing="the clock stands at 7.000 s")
    assert (grade, text) == ("WRONG", "the clock stands at 7.000 s")
    times = [10**9 + i * 10**7 for i in range(500)] + [i * 10**7 for i in range(500)]
    ((grade, text),) = told(played(moment, times, 10.0))
    assert grade == "WARNING" and "from 5.990 s to 0.000 s" in text


def test_what_sets_the_time_that_nobody_sets(moment):
    (finding,) = clock_findings(ClockRecord(Source(0)), "the clock is at 0", True)
    assert "ros_gz_bridge" in finding.change and "use_sim_time:=false" in finding.change
    (finding,) = clock_findings(ClockRecord(Source(1)), "the clock is at 0", True)
    assert "press play" in finding.change


def test_two_sources_and_a_fast_one(moment):
    times = [t for i in range(500) for t in (i * 10**7, 10**12 + i * 10**7)]
    findings = told(played(moment, times, 5.0, publishers=2))
    assert findings == [("WRONG", "2 publishers set the time on /clock (/n0, /n1): it jumps between theirs")]
    ((grade, text),) = told(played(moment, [i * 10**6 for i in range(10000)], 10.0))
    assert grade == "NOTE" and "1000 Hz" in text
