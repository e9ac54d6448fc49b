# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One queue in front of one model: who goes first, who makes way, and what is answered together."""

import time

import pytest
from molmo_msgs.srv import Point
from std_msgs.msg import String


@pytest.fixture(autouse=True)
def alone(running):
    """Frames that stay fresh, however busy the machine, and no continuous query before or after a test."""
    running.set(max_frame_age=60.0, queries=[""], rate=20.0)
    running.send_frame()
    running.clear()
    yield
    running.set(queries=[""])
    running.settle()


def test_action_before_service_before_topic(running):
    client = running.client(Point, "point_at")
    running.goal(prompt="unicorn").end()  # connects
    busy = running.goal(prompt="stream 0.1 at " + "0.5,0.5 " * 200).accepted()
    running.spin_until(lambda: busy.feedback)
    running.clear()
    running.publish("query", String(data="by topic"))
    running.publish("query", String(data="by topic, later"))
    running.settle()
    call = client.call_async(Point.Request(labels=["by service"]))
    running.settle()
    goal = running.goal(prompt="by action").accepted()
    running.settle()
    busy.cancel()
    running.spin_until(lambda: call.done() and len(running.heard["result"]) == 5)
    goal.end()
    results = running.results()
    assert [result["query"] for result in results[1:]] == [
        "by action",
        "by service",
        "by topic",
        "by topic, later",
    ]
    assert [result["source"] for result in results[1:]] == ["action", "service", "topic", "topic"]


def test_running_query_is_never_preempted_by_a_more_urgent_one(running):
    running.publish("query", String(data="sleep 1 by topic"))
    running.spin(0.3)
    running.goal(prompt="by action")
    running.spin_until(lambda: len(running.heard["result"]) == 2)
    assert [result["query"] for result in running.results()] == ["sleep 1 by topic", "by action"]
    assert running.results()[0]["status"] == "NOT_FOUND"


def test_continuous_query_makes_way_and_is_asked_again(running):
    running.set(queries=["sleep 1.5 continuous"])
    running.send_frame(settle=0.5)  # it runs now
    started = time.monotonic()
    assert running.ask("by topic")["query"] == "by topic"
    assert time.monotonic() - started < 1.2
    result = running.next_result(1)
    assert (result["query"], result["source"], result["status"]) == (
        "sleep 1.5 continuous",
        "continuous",
        "NOT_FOUND",
    )


def test_each_of_a_burst_is_answered_before_the_continuous_one_goes_on(running):
    running.set(queries=["sleep 0.5 continuous"])
    running.send_frame(settle=0.3)
    for index in range(10):
        running.publish("query", String(data=f"thing {index}"))
    running.spin_until(lambda: len(running.heard["result"]) >= 11)
    queries = [result["query"] for result in running.results() if result["source"] == "topic"]
    assert queries == [f"thing {index}" for index in range(10)]
    order = [result["source"] for result in running.results()]
    first = order.index("topic")
    assert order[first : first + 10] == ["topic"] * 10


def test_queries_about_one_frame_are_answered_together(running, make):
    before = int(running.ask("encodes")["text"].split()[-1])
    busy = running.goal(prompt="stream 0.1 at " + "0.5,0.5 " * 200).accepted()
    running.spin_until(lambda: busy.feedback)
    running.clear()
    for index in range(3):
        running.publish("query", String(data=f"encodes {index}"))
    running.settle()
    newest = running.send_frame()
    busy.cancel()
    running.spin_until(lambda: len(running.heard["result"]) == 4)
    results = running.results()[1:]
    assert [result["text"] for result in results] == [f"encodes: {before + 2}"] * 3
    assert {result["stamp"]["nanosec"] for result in results} == {newest.nanosec}


def test_continuous_queries_are_answered_together_at_their_rate(running):
    running.set(queries=["encodes red", "encodes blue", "", "encodes green"])
    running.clear()
    for _ in range(3):
        running.send_frame(settle=0.4)
    running.spin_until(lambda: len(running.heard["result"]) >= 9)
    results = running.results()[:9]
    for one in range(0, 9, 3):
        together = results[one : one + 3]
        assert [result["query"] for result in together] == ["encodes red", "encodes blue", "encodes green"]
        assert len({(result["stamp"]["sec"], result["stamp"]["nanosec"]) for result in together}) == 1
        assert len({result["text"] for result in together}) == 1


def test_frame_that_is_too_old_for_the_rest_of_a_batch_is_replaced(running):
    """64 texts are asked together; what is beyond is asked about a newer frame, never about one that got old since."""
    running.set(max_frame_age=1.5)
    busy = running.goal(prompt="sleep 0.8 busy").accepted()
    labels = [f"thing {number}" for number in range(39)]
    first, second = (running.goal(labels=[one, *labels]).accepted() for one in ("sleep 2 first", "second"))
    running.spin(0.3)
    for _ in range(40):
        running.send_frame(settle=0.1)
        if len(running.heard["result"]) == 3:
            break
    busy.end()
    (_, first), (_, second) = first.end(), second.end()
    assert first.status == second.status == "NOT_FOUND"
    assert running.record(second)["frame_age_ms"] < 1500
    assert second.header.stamp != first.header.stamp
