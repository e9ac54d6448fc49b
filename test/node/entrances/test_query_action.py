# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The action `~/query`: feedback while the answer is made, cancelling, and results, with real action clients."""

import os
import subprocess
import sys

import numpy as np
import pytest
from action_msgs.srv import CancelGoal
from builtin_interfaces.msg import Duration
from std_msgs.msg import String

DEPTH = True
VANISHING_CLIENT = """
import os
import sys
import rclpy
from rclpy.action import ActionClient
from molmo_msgs.action import Query
heard = int(sys.argv[1])
rclpy.init()
node = rclpy.create_node("vanishing")
client = ActionClient(node, Query, "molmo_node/query")
client.wait_for_server()
sent = client.send_goal_async(Query.Goal(prompt="stream 0.2 at " + "0.1,0.1 " * 8), lambda _: os.write(heard, b"!"))
rclpy.spin_until_future_complete(node, sent)
sent.result().get_result_async()
rclpy.spin(node)
"""


@pytest.fixture(scope="module", autouse=True)
def lasting(running):
    """Frames that stay fresh, however busy the machine."""
    running.set(max_frame_age=60.0)


@pytest.fixture
def seeing(running, make):
    """The robot with a fresh frame, 2 m away."""
    running.stamp = running.send_frame(make.picture(), make.depth(np.full((48, 64), 2.0)), make.info())
    return running


def test_points_come_as_soon_as_they_are_complete(seeing):
    goal = seeing.goal(prompt="stream 0.3 at 0.25,0.5 0.75,0.5 0.5,0.5").accepted()
    seeing.spin_until(lambda: any(piece.points for piece in goal.feedback))
    status, result = goal.end()
    assert status == "SUCCEEDED"
    assert [len(piece.points) for piece in goal.feedback] == [0, 1, 1, 2, 2, 3]  # words, then their point
    texts = [piece.text for piece in goal.feedback]
    assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:], strict=False))
    assert texts[-1].strip() == result.text == "point1 point2 point3"
    assert list(goal.feedback[-1].points) == list(result.points)
    assert all(piece.header == result.header and piece.camera == "camera" for piece in goal.feedback)
    assert result.header.stamp == seeing.stamp


def test_feedback_has_places(seeing):
    goal = seeing.goal(prompt="stream 0.05 at 0.75,0.5")
    _, result = goal.end()
    point, frame = goal.feedback[-1].points[0], goal.feedback[-1].frame_id
    assert (point.position.x, point.position.y, point.position.z) == pytest.approx((2.0 * 16 / 60, 0.0, 2.0))
    assert frame == result.frame_id == "camera_optical"
    assert goal.feedback[0].frame_id == ""


def test_result_is_the_published_one(seeing):
    _, result = seeing.goal(labels=["at 0.5,0.5", "at 0.1,0.1"]).end()
    seeing.spin_until(lambda: seeing.heard["result"])
    assert seeing.heard["result"] == [result]
    assert result.source == "action"


@pytest.mark.parametrize(
    ("goal", "kind", "text"),
    [
        ({"prompt": "what is it?"}, "ask", "ask: what is it?"),
        ({"prompt": "count: mugs"}, "count", "count: mugs"),
        ({"kind": "ask", "prompt": "mugs"}, "ask", "ask: mugs"),
        ({"kind": "count", "labels": ["mugs"]}, "count", "count: mugs"),
        ({"labels": ["where?"]}, "point", "There are none."),
        ({"kind": "point", "prompt": "count: mugs"}, "point", "There are none."),
    ],
)
def test_kinds(seeing, goal, kind, text):
    status, result = seeing.goal(**goal).end()
    assert (status, result.kind, result.text) == ("SUCCEEDED", kind, text)


def test_not_found_is_an_answer(seeing):
    status, result = seeing.goal(labels=["unicorn"]).end()
    assert (status, result.status) == ("SUCCEEDED", "NOT_FOUND")


@pytest.mark.parametrize(
    ("goal", "reason"),
    [
        ({"kind": "juggle", "prompt": "mug"}, "kind is 'juggle'; valid: point, ask, count, place, or empty"),
        ({"prompt": "mug", "labels": ["mug"]}, "a prompt and labels"),
        ({"kind": "ask", "labels": ["mug"]}, "a question takes a prompt and no labels"),
        ({}, "empty"),
        ({"prompt": "mug", "camera": "elbow"}, "there is no camera 'elbow'; cameras: camera"),
        ({"prompt": "boom"}, "RuntimeError: out of memory"),
        ({"prompt": "overflow"}, "the model's scores hold nan"),
    ],
)
def test_error_aborts_with_the_reason(seeing, goal, reason):
    status, result = seeing.goal(**goal).end()
    assert (status, result.status) == ("ABORTED", "ERROR")
    assert reason in result.reason


def test_an_answer_that_says_neither_aborts_with_its_words(seeing):
    status, result = seeing.goal(prompt="mumble").end()
    assert (status, result.status, result.text) == ("ABORTED", "UNPARSEABLE", "hm")


def test_attached_image(seeing, make):
    status, result = seeing.goal(prompt="size at 0.5,0.5", image=make.picture(20, 10, color=(7, 8, 9))).end()
    assert (status, result.status, result.text) == ("SUCCEEDED", "FOUND", "20x10 [7, 8, 9]")
    assert (result.image_width, result.image_height, result.camera) == (20, 10, "")
    assert not result.points[0].has_position and "without depth" in result.reason


def test_no_depth_aborts_with_the_pixels(running):
    running.send_frame()
    status, result = running.goal(prompt="at 0.5,0.5").end()
    assert (status, result.status) == ("ABORTED", "NO_DEPTH")
    assert (result.points[0].pixel.x, result.frame_id) == (32.0, "")


def test_limits_of_the_goal(seeing):
    _, result = seeing.goal(prompt="at 0.1,0.1 0.2,0.2 0.3,0.3", max_points=2).end()
    assert len(result.points) == 2

    # The last one is left out, too: feedback about the end may come after the result, and rclpy then drops it.
    prompt = "stream 0.05 at 0.1,0.1~0.9 0.2,0.2~0.1 0.3,0.3~0.8 0.4,0.4~0.1"
    goal = seeing.goal(prompt=prompt, min_confidence=0.5)
    _, result = goal.end()
    assert [point.score for point in result.points] == pytest.approx([0.9, 0.8])
    assert result.points_left_out == 2
    assert [point.score for point in goal.feedback[-1].points] == pytest.approx([0.9, 0.8])

    limit = Duration(sec=2)
    status, result = seeing.goal(prompt="stream 0.4 at " + "0.5,0.5 " * 100, time_limit=limit).end()
    assert (status, result.status) == ("ABORTED", "TIMEOUT")
    assert 1 <= len(result.points) <= 5


def test_age_limit_of_the_goal(seeing):
    stamp = seeing.now()
    stamp.sec -= 80
    seeing.send_frame(stamp=stamp)
    status, result = seeing.goal(prompt="unicorn").end()
    assert (status, result.status) == ("ABORTED", "STALE")
    status, result = seeing.goal(prompt="unicorn", max_frame_age=Duration(sec=600)).end()
    assert (status, result.status) == ("SUCCEEDED", "NOT_FOUND")


def test_cancel_while_it_streams_takes_effect_before_the_next_step(seeing):
    goal = seeing.goal(prompt="stream 0.5 at " + "0.5,0.5 " * 60).accepted()
    seeing.spin_until(lambda: goal.feedback and len(goal.feedback[-1].points) >= 2)
    assert goal.cancel().return_code == CancelGoal.Response.ERROR_NONE
    status, result = goal.end()
    assert (status, result.status) == ("CANCELED", "CANCELLED")
    assert list(result.points) == list(goal.feedback[-1].points)
    assert len(result.points) in (2, 3)


def test_cancel_before_the_first_word(seeing, make):
    slow_to_encode = make.picture(color=(1, 2, 10))
    goal = seeing.goal(prompt="stream 0.1 at 0.5,0.5", image=slow_to_encode).accepted()
    seeing.spin(0.3)
    goal.cancel()
    status, result = goal.end()
    assert (status, result.status, result.text) == ("CANCELED", "CANCELLED", "")
    assert not goal.feedback


def test_cancel_while_it_waits(seeing):
    running = seeing.goal(prompt="stream 0.1 at " + "0.5,0.5 " * 400).accepted()
    for index in range(15):
        waiting = seeing.goal(prompt=f"waits {index}").accepted()
        assert waiting.cancel().return_code == CancelGoal.Response.ERROR_NONE
        status, result = waiting.end()
        assert (status, result.status) == ("CANCELED", "CANCELLED")
        assert result.query == f"waits {index}" and "waiting" in result.reason
    running.cancel()
    assert running.end()[0] == "CANCELED"


def test_cancel_while_another_about_the_same_frame_is_answered(seeing):
    before = seeing.goal(prompt="stream 0.1 at 0.5,0.5").accepted()
    running = seeing.goal(prompt="stream 0.1 at " + "0.5,0.5 " * 400).accepted()
    waiting = seeing.goal(prompt="waits").accepted()
    before.end()
    seeing.spin_until(lambda: running.feedback)
    waiting.cancel()
    running.cancel()
    assert running.end()[0] == "CANCELED"
    status, result = waiting.end()
    assert (status, result.status) == ("CANCELED", "CANCELLED")


def test_cancel_at_once(seeing):
    for _ in range(10):
        goal = seeing.goal(prompt="stream 0.1 at " + "0.5,0.5 " * 200).accepted()
        goal.cancel()
        assert goal.end()[0] == "CANCELED"


def test_cancel_after_the_end(seeing):
    goal = seeing.goal(prompt="at 0.5,0.5")
    before = goal.end()
    response = goal.cancel()
    assert response.return_code == CancelGoal.Response.ERROR_GOAL_TERMINATED
    assert not response.goals_canceling
    assert goal.end() == before


def test_second_goal_waits_for_the_first(seeing):
    first = seeing.goal(prompt="stream 0.2 at 0.1,0.1 0.2,0.2").accepted()
    second = seeing.goal(prompt="at 0.3,0.3")
    assert second.end()[0] == "SUCCEEDED"
    assert first.end()[0] == "SUCCEEDED"
    seeing.spin_until(lambda: len(seeing.heard["result"]) == 2)
    assert [result["query"][:6] for result in seeing.results()] == ["stream", "at 0.3"]


def test_full_queue_aborts_with_busy(seeing):
    seeing.set(max_queued_queries=1)
    running = seeing.goal(prompt="stream 0.1 at " + "0.5,0.5 " * 200).accepted()
    seeing.spin_until(lambda: running.feedback)
    waiting = seeing.goal(prompt="waits").accepted()
    seeing.settle()
    status, result = seeing.goal(prompt="too many").end()
    assert (status, result.status) == ("ABORTED", "BUSY")
    assert "max_queued_queries" in result.reason
    running.cancel()
    assert waiting.end()[0] == "SUCCEEDED"
    seeing.set(max_queued_queries=16)


def test_ten_clients_each_get_their_own_result(seeing):
    clients = [seeing.action_client() for _ in range(10)]
    goals = [
        seeing.goal(client, prompt=f"stream 0.02 at 0.{index},0.1 0.{index},0.9")
        for index, client in enumerate(clients)
    ]
    for index, goal in enumerate(goals):
        status, result = goal.end()
        assert status == "SUCCEEDED"
        assert [point.pixel.x for point in result.points] == pytest.approx([6.4 * index] * 2)
        assert all(point.pixel.x == result.points[0].pixel.x for one in goal.feedback for point in one.points)
        assert result.request_id == bytes(goal.handle.goal_id.uuid).hex()
    seeing.spin_until(lambda: len(seeing.heard["result"]) == 10)
    for client in clients:
        client.destroy()


def test_client_that_vanishes_hurts_nobody(seeing):
    environment = os.environ | {"ROS_DOMAIN_ID": str(seeing.domain)}
    # On its stdout the middleware may log.
    heard, says = os.pipe()
    command = [sys.executable, "-c", VANISHING_CLIENT, str(says)]
    with subprocess.Popen(command, env=environment, pass_fds=[says]) as client, open(heard, "rb") as heard:
        os.close(says)
        try:
            assert heard.read(1) == b"!"
        finally:
            client.kill()
    status, result = seeing.goal(prompt="at 0.5,0.5").end()
    assert (status, result.status) == ("SUCCEEDED", "FOUND")
    seeing.publish("query", String(data="size"))
    seeing.spin_until(lambda: len(seeing.heard["result"]) == 3)
    assert [one["status"] for one in seeing.results()] == ["FOUND", "FOUND", "NOT_FOUND"]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"min_confidence": float("nan")}, "0 to 1"),
        ({"min_confidence": 2.0}, "0 to 1"),
        ({"min_confidence": -1.0}, "0 to 1"),
        ({"max_points": 2**32 - 1}, "0 to 10000"),
        ({"max_new_tokens": 8193}, "0 to 8192"),
        ({"time_limit": Duration(sec=-1)}, "0 to 3600"),
        ({"max_frame_age": Duration(sec=2**31 - 1)}, "0 to 3600"),
    ],
)
def test_limits_out_of_range_are_refused_with_the_range(seeing, limits, reason):
    status, result = seeing.goal(prompt="at 0.5,0.5", **limits).end()
    assert (status, result.status) == ("ABORTED", "ERROR")
    assert next(iter(limits)) in result.reason and reason in result.reason


def test_an_image_of_which_a_part_is_missing_is_no_reason_to_look_at_a_camera(seeing, make):
    image = make.picture()
    image.height = 0
    status, result = seeing.goal(prompt="at 0.5,0.5", image=image).end()
    assert (status, result.status) == ("ABORTED", "ERROR") and "64x0" in result.reason
