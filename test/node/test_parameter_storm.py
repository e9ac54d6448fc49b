# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Parameters that change while the node works: nothing is lost, and what holds from when is defined."""

import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_msgs.msg import String


@pytest.fixture(autouse=True)
def lasting(running):
    """Frames that stay fresh, however busy the machine."""
    running.set(max_frame_age=60.0, max_points=0, max_queued_queries=100)
    running.send_frame()


def test_storm_of_changes_loses_no_query(running):
    client = running.client(SetParameters, "set_parameters")
    calls = []
    for index in range(300):
        values = {
            "rate": 1.0 + index % 50,
            "max_points": index % 3,
            "min_confidence": 0.0,
            "queries": [f"continuous {index % 7}"] if index % 2 else [""],
            "depth_window": 1 + index % 9,
            "time_limit": -1.0 if index % 10 == 9 else 30.0,
        }
        wanted = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        calls.append(client.call_async(SetParameters.Request(parameters=wanted)))
        if index % 10 == 0:
            running.publish("query", String(data=f"sleep 0.02 at 0.5,0.5 {index}"))
            running.send_frame(settle=0.0)
        running.spin(0.002)
    running.spin_until(lambda: all(call.done() for call in calls))
    for index, call in enumerate(calls):
        refused = [one.reason for one in call.result().results if not one.successful]
        assert len(refused) == (index % 10 == 9)
        assert all("time_limit = -1.0 is refused" in reason for reason in refused)
    asked = [f"sleep 0.02 at 0.5,0.5 {index}" for index in range(0, 300, 10)]

    def answered():
        return [result for result in running.results() if result["source"] == "topic"]

    running.spin_until(lambda: len(answered()) >= len(asked))
    assert [result["query"] for result in answered()] == asked
    assert {result["status"] for result in answered()} == {"FOUND"}
    assert running.set(queries=[""]) == ""


def test_change_during_a_request_holds_from_the_next_one_on(running):
    """Limits are read when the model is asked: what is being answered keeps its own, with all its labels."""
    running.send_frame()
    many = "at 0.1,0.1 0.2,0.2 0.3,0.3"
    goal = running.goal(labels=[f"stream 0.3 {many}", many, f"{many} once more"]).accepted()
    running.spin_until(lambda: goal.feedback)
    assert running.set(max_points=1) == ""
    later = running.goal(labels=[many, f"{many} again"])
    for one, expected in ((goal, [3, 3, 3]), (later, [1, 1])):
        _, result = one.end()
        labels = [point.label for point in result.points]
        assert [labels.count(label) for label in dict.fromkeys(labels)] == expected


def test_confidence_is_looked_at_when_the_answer_is_complete(running):
    running.send_frame()
    goal = running.goal(prompt="stream 0.2 at 0.1,0.1~0.9 0.2,0.2~0.2").accepted()
    running.spin_until(lambda: goal.feedback)
    assert running.set(min_confidence=0.5) == ""
    _, result = goal.end()
    assert [point.score for point in result.points] == pytest.approx([0.9])
    assert result.points_left_out == 1
    running.set(min_confidence=0.0)


def test_queue_that_is_made_smaller_keeps_what_waits(running, gate):
    running.send_frame()
    running.publish("query", String(data=f"{gate} busy"))
    running.settle()
    for index in range(5):
        running.publish("query", String(data=f"thing {index}"))
    running.settle()
    assert running.set(max_queued_queries=1) == ""
    assert running.ask("too many")["status"] == "BUSY"
    gate.open()
    running.spin_until(lambda: len(running.heard["result"]) == 7)
    statuses = {result["query"]: result["status"] for result in running.results()}
    assert [statuses[f"thing {index}"] for index in range(5)] == ["NOT_FOUND"] * 5


def test_read_only_parameters_say_so(running):
    for name, value in (("model", "other"), ("cameras", ["wrist"]), ("image_transport", "compressed")):
        assert "read-only" in running.set(**{name: value})
