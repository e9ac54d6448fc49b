# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which frame is answered: the newest, never an old one, and never one from another time."""

import time

import pytest
from builtin_interfaces.msg import Time


def test_newest_frame_wins_and_drops_are_counted(running, make, gate):
    running.send_frame(make.picture(color=(1, 1, 1)))
    before = len(running.heard["result"])
    first = running.ask("size")
    running.publish("query", _string(f"{gate} slow"))
    running.spin(0.4)
    running.publish("query", _string("size"))
    for shade in range(2, 12):
        running.send_frame(make.picture(color=(shade, shade, shade)))
    newest = time.time()
    gate.open()
    result = running.next_result(before + 2)
    assert result["text"] == "64x48 [11, 11, 11]"
    assert result["dropped_frames"] - first["dropped_frames"] == 9
    assert result["frame_age_ms"] < (time.time() - newest) * 1000 + 1000


def test_stale_frame_is_refused_with_a_result(running, make):
    stamp = running.now()
    stamp.sec -= 100
    running.send_frame(stamp=stamp)
    result = running.ask("at 0.5,0.5")
    late = time.time() - (stamp.sec + stamp.nanosec * 1e-9)
    assert (result["status"], result["points"]) == ("STALE", [])
    assert "max_frame_age is 60 s" in result["reason"]
    assert 100_000 < result["frame_age_ms"] < late * 1000
    assert result["stamp"]["sec"] == stamp.sec
    running.send_frame()
    assert running.ask("at 0.5,0.5")["status"] == "FOUND"


def test_future_frame_is_refused(running):
    stamp = running.now()
    stamp.sec += 600
    running.send_frame(stamp=stamp)
    result = running.ask("at 0.5,0.5")
    assert result["status"] == "STALE"
    assert "in the future" in result["reason"]


def test_unstamped_frame_is_named(running):
    running.send_frame(stamp=Time())
    result = running.ask("at 0.5,0.5")
    assert result["status"] == "STALE"
    assert "no stamp" in result["reason"]


@pytest.fixture
def other(robot):
    """The module's robot, for nodes with arguments of their own."""
    if robot.process:
        robot.stop()
    yield robot
    if robot.process:
        robot.stop()


def test_continuous_query_is_asked_at_its_rate_and_reports_a_frozen_camera(other, make):
    other.start("-p", "queries:=[size]", "-p", "rate:=5.0", "-p", "max_frame_age:=0.5")
    for _ in range(40):
        other.send_frame(settle=0.05)
    found = other.results()
    answered = [result for result in found if result["text"]]
    assert all(result["source"] == "continuous" for result in answered)
    assert 5 <= len(answered) <= 13
    stamps = [(result["stamp"]["sec"], result["stamp"]["nanosec"]) for result in answered]
    assert len(set(stamps)) == len(stamps)
    other.clear()
    other.spin(3.0)
    late = other.results()
    assert late[-1]["status"] == "STALE"
    assert len([result for result in late if result["status"] == "STALE"]) <= 3
    other.clear()
    other.send_frame()
    assert other.next_result(0)["status"] in ("NOT_FOUND", "STALE")


def test_one_off_queries_go_before_the_continuous_one(other, make):
    other.start("-p", "queries:=[sleep 0.4 size]", "-p", "rate:=100")
    for _ in range(10):
        other.send_frame(settle=0.05)
    other.publish("query", _string("at 0.5,0.5"))
    other.publish("query", _string("at 0.1,0.1"))
    order = []
    for _ in range(200):
        other.send_frame(settle=0.05)
        order = [message.source for message in other.heard["result"]]
        if order.count("topic") == 2 and order[-1] == "continuous":
            break
    first = order.index("topic")
    assert order[first : first + 3] == ["topic", "topic", "continuous"]
    assert order[0] == "continuous"


def test_sim_time_and_a_clock_that_jumps_back(other, make):
    other.start("-p", "use_sim_time:=true", "-p", "max_frame_age:=1.0", sim_time=True)
    stamp = Time(sec=100, nanosec=250)
    other.send_frame(stamp=stamp)
    result = other.ask("size")
    assert result["status"] == "STALE" and "/clock" in result["reason"]

    _tick(other, 100.2)
    other.send_frame(stamp=stamp)
    result = other.ask("size")
    assert (result["status"], result["stamp"]) == ("NOT_FOUND", {"sec": 100, "nanosec": 250})
    assert result["frame_age_ms"] == pytest.approx(200, abs=1)

    _tick(other, 105.0)
    assert other.ask("size")["status"] == "STALE"

    # The bag loops: the frame of second 100 is not one of second 100.1 played again.
    other.send_frame(stamp=Time(sec=104, nanosec=900_000_000))
    _tick(other, 100.1)
    result = other.ask("size")
    assert result["status"] == "NO_IMAGE" and "since the clock went back by 4.9 s" in result["reason"]
    other.send_frame(stamp=Time(sec=104, nanosec=950_000_000))  # from before, and late
    assert other.ask("size")["status"] == "NO_IMAGE"
    other.send_frame(stamp=Time(sec=100, nanosec=50_000_000))
    assert other.ask("size")["status"] == "NOT_FOUND"


def _tick(robot, seconds):
    from rosgraph_msgs.msg import Clock

    whole = int(seconds)
    robot.publish("clock", Clock(clock=Time(sec=whole, nanosec=round((seconds - whole) * 1e9))))
    robot.spin(0.4)


def _string(text):
    from std_msgs.msg import String

    return String(data=text)
