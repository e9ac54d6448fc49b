# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points below a confidence are left out and counted; by itself, and in a node."""

import pytest

from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.status import Status
from molmo_ros.node.answers.sure_points import sure_points

CONFIDENCES = (0.3, 0.5, 0.9, None, float("nan"))
LOW, EDGE, HIGH, UNKNOWN, NAN = (Point(1.0, 2.0, confidence=value) for value in CONFIDENCES)


@pytest.mark.parametrize(
    ("points", "minimum", "kept"),
    [
        ((LOW, EDGE, HIGH), 0.0, (LOW, EDGE, HIGH)),
        ((LOW, EDGE, HIGH), 0.5, (EDGE, HIGH)),
        ((UNKNOWN, NAN, HIGH), 0.0, (UNKNOWN, NAN, HIGH)),
        ((UNKNOWN, NAN, HIGH), 0.01, (HIGH,)),
        ((LOW, EDGE), 0.95, ()),
    ],
)
def test_points_below_the_minimum_are_left_out(points, minimum, kept):
    answer, dropped, reason = sure_points(Answer(Status.FOUND, "text", points), minimum)
    assert answer.points == kept and dropped == len(points) - len(kept)
    assert answer.status is (Status.FOUND if kept else Status.NOT_FOUND) and answer.text == "text"
    assert bool(reason) == bool(dropped)
    if dropped:
        assert f"{dropped} of {len(points)}" in reason and f"{minimum:g}" in reason


def test_other_statuses_stay():
    answer, dropped, _ = sure_points(Answer(Status.TIMEOUT, points=(LOW,)), 0.5)
    assert (answer.status, answer.points, dropped) == (Status.TIMEOUT, (), 1)
    nothing = Answer(Status.NOT_FOUND)
    assert sure_points(nothing, 1.0) == (nothing, 0, "")


@pytest.mark.parametrize(
    ("count", "minimum", "status"),
    [
        (2, 0.95, Status.ANSWERED),
        (2, 0.5, Status.FOUND),
        (0, 0.95, Status.NOT_FOUND),
        (None, 0.95, Status.NOT_FOUND),
    ],
)
def test_a_count_is_never_said_of_what_was_not_found(count, minimum, status):
    answer, dropped, reason = sure_points(Answer(Status.FOUND, "text", (LOW, EDGE), count=count), minimum)
    assert (answer.status, answer.count) == (status, count)
    assert f"{dropped} of 2 points are below" in reason
    assert ("the 2 that the model claims" in reason) == (count == 2)


def test_min_confidence_of_a_node(robot):
    robot.start("-p", "min_confidence:=0.5")
    robot.send_frame()
    result = robot.ask("at 0.25,0.5~0.4 0.75,0.5~0.8")
    assert [(point["x"], point["confidence"]) for point in result["points"]] == [(48.0, 0.8)]
    assert result["status"] == "FOUND" and result["dropped_points"] == 1
    assert "1 of 2 points are below min_confidence 0.5" in result["reason"]
    assert (result["not_found_probability"], result["calibrated"]) == (0.25, True)
    robot.spin_until(lambda: robot.heard["pixels"])
    assert len(robot.heard["pixels"][0].poses) == 1
    result = robot.ask("at 0.25,0.5~0.4")
    assert (result["status"], result["points"], result["dropped_points"]) == ("NOT_FOUND", [], 1)
    assert "the highest confidence is 0.400" in result["reason"]
    robot.stop()


def test_a_node_keeps_all_points_unless_told(robot):
    robot.start()
    robot.send_frame()
    result = robot.ask("at 0.25,0.5 0.75,0.5")
    assert [point["confidence"] for point in result["points"]] == [None, None]
    assert (result["dropped_points"], result["not_found_probability"], result["calibrated"]) == (
        0,
        None,
        False,
    )
    robot.stop()
