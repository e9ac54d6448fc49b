# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The services `~/point_at` and `~/ask`, called by a client in another process."""

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from molmo_msgs.srv import Ask, Point

DEPTH = True


@pytest.fixture(scope="module", autouse=True)
def lasting(running):
    """Frames that stay fresh, however busy the machine."""
    running.set(max_frame_age=60.0)


def point_at(robot, *labels, **request):
    return robot.record(robot.call(Point, "point_at", labels=labels, **request).result)


def ask(robot, question, **request):
    return robot.record(robot.call(Ask, "ask", question=question, **request).result)


def see(robot, make):
    """A fresh frame at a distance of 2 m."""
    return robot.send_frame(make.picture(), make.depth(np.full((48, 64), 2.0)), make.info())


def test_point_at_answers_with_the_full_record(running, make):
    stamp = see(running, make)
    response = running.call(Point, "point_at", labels=["at 0.25,0.5 0.75,0.5"]).result
    result = running.record(response)
    assert (result["status"], result["kind"], result["source"]) == ("FOUND", "point", "service")
    assert result["stamp"] == {"sec": stamp.sec, "nanosec": stamp.nanosec}
    assert [(point["x"], point["y"]) for point in result["points"]] == [(16.0, 24.0), (48.0, 24.0)]
    assert [point["xyz"] for point in result["points"]] == [
        pytest.approx([2.0 * -16 / 60, 0.0, 2.0], abs=1e-6),
        pytest.approx([2.0 * 16 / 60, 0.0, 2.0], abs=1e-6),
    ]
    assert result["position_frame"] == result["frame_id"] == "camera_optical"
    running.spin_until(lambda: running.heard["result"])
    assert running.heard["result"] == [response]


def test_labels_are_asked_about_one_image_that_is_encoded_once(running, make):
    see(running, make)
    before = int(point_at(running, "encodes")["text"].split()[-1])
    labels = ["encodes at 0.1,0.1", "encodes unicorn", "encodes at 0.2,0.2 0.3,0.3"]
    result = point_at(running, *labels)
    assert result["text"].splitlines() == [f"encodes: {before + 1}"] * 3
    assert [point["label"] for point in result["points"]] == [labels[0], labels[2], labels[2]]
    assert (result["status"], result["reason"]) == ("FOUND", "not found: encodes unicorn")


def test_labels_none_of_which_is_there(running, make):
    see(running, make)
    result = point_at(running, "unicorn", "dragon")
    assert (result["status"], result["points"]) == ("NOT_FOUND", [])


def test_count(running, make):
    see(running, make)
    result = point_at(running, "mugs", "cubes", count=True)
    assert (result["kind"], result["count"]) == ("count", 6)


def test_places_are_points_of_their_kind(running, make):
    see(running, make)
    result = point_at(running, "at 0.25,0.5", "in 0.75,0.5", place=True)
    assert (result["status"], result["kind"]) == ("FOUND", "place")
    assert [point["label"] for point in result["points"]] == ["at 0.25,0.5", "in 0.75,0.5"]
    assert [point["xyz"][2] for point in result["points"]] == [pytest.approx(2.0)] * 2
    result = point_at(running, "at 0.25,0.5", place=True, image=make.picture())
    assert (result["status"], result["points"][0]["xyz"]) == ("FOUND", None)
    assert "without depth" in result["reason"]


def test_places_without_depth_are_pixels_and_no_depth(running, make):
    picture = make.picture()
    picture.header.stamp, picture.header.frame_id = running.now(), "camera_optical"
    running.publish("image", picture)
    running.spin_until(
        lambda: point_at(running, "size at 0,0")["stamp"]["nanosec"] == picture.header.stamp.nanosec
    )
    result = point_at(running, "at 0.25,0.5", place=True)
    assert (result["status"], result["kind"], result["points"][0]["xyz"]) == ("NO_DEPTH", "place", None)
    assert "depth" in result["reason"]


def test_places_are_not_counted(running):
    result = point_at(running, "left of the mug", place=True, count=True)
    assert result["status"] == "ERROR" and "count and place; it takes one" in result["reason"]


def test_ask(running, make):
    see(running, make)
    result = ask(running, "point: what is this?")  # a question is taken as it is
    assert (result["status"], result["kind"]) == ("ANSWERED", "ask")
    assert result["text"] == "ask: point: what is this?"


def test_attached_image_is_looked_at_instead_of_the_camera(running, make):
    see(running, make)
    image = make.picture(width=20, height=10, color=(7, 8, 9))
    image.header.frame_id = "from_a_file"
    result = point_at(running, "size at 0.5,0.5", image=image)
    assert (result["status"], result["text"]) == ("FOUND", "20x10 [7, 8, 9]")
    assert (result["camera"], result["frame_id"]) == ("", "from_a_file")
    point = result["points"][0]
    assert (point["x"], point["y"], point["xyz"]) == (10.0, 5.0, None)
    assert "without depth" in point["reason"] and "without depth" in result["reason"]


def test_broken_attached_image_is_named(running, make):
    image = make.picture()
    image.encoding = "rgb99"
    result = point_at(running, "thing", image=image)
    assert result["status"] == "ERROR" and "rgb99" in result["reason"]


@pytest.mark.parametrize(
    ("labels", "request_fields", "reason"),
    [
        ([], {}, "empty"),
        (["mug", "  "], {}, "a label of the query is empty"),
        (["mug"], {"camera": "elbow"}, "there is no camera 'elbow'; cameras: camera"),
        (["x" * 5000], {}, "5000 characters, at most 4096"),
        (["mug"] * 65, {}, "65 labels, at most 64"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(running, labels, request_fields, reason):
    result = point_at(running, *labels, **request_fields)
    assert result["status"] == "ERROR"
    assert reason in result["reason"]
    assert result["source"] == "service"


def test_empty_question_is_refused(running):
    result = ask(running, " ")
    assert (result["status"], result["reason"]) == ("ERROR", "the query is empty")


def test_max_points_of_each_label(running, make):
    see(running, make)
    result = point_at(running, "at 0.1,0.1 0.2,0.2 0.3,0.3", "at 0.4,0.4 0.5,0.5", max_points=1)
    assert [point["x"] for point in result["points"]] == pytest.approx([6.4, 25.6])


def test_time_limit_ends_the_answer_and_keeps_what_is_complete(running, make):
    see(running, make)
    limit = Duration(nanosec=300_000_000)
    result = point_at(running, "at 0.5,0.5", "sleep 20 at 0.1,0.1", "never asked", time_limit=limit)
    assert result["status"] == "TIMEOUT"
    assert [point["label"] for point in result["points"]] == ["at 0.5,0.5"]
    assert result["timing_ms"]["model"] < 5000
    assert ask(running, "sleep 20?", time_limit=limit)["status"] == "TIMEOUT"


def test_ten_calls_at_once_each_get_their_own_answer(running, make):
    see(running, make)
    client = running.client(Point, "point_at")
    calls = [client.call_async(Point.Request(labels=[f"at 0.{index},0.5"])) for index in range(10)]
    running.spin_until(lambda: all(call.done() for call in calls))
    for index, call in enumerate(calls):
        result = call.result().result
        assert result.query == f"at 0.{index},0.5"
        assert [point.pixel.x for point in result.points] == pytest.approx([64 * index / 10])
    assert len({call.result().result.request_id for call in calls}) == 10


def test_full_queue_is_busy_at_once(running, make, gate):
    running.set(max_queued_queries=1)
    see(running, make)
    client = running.client(Ask, "ask")
    first = client.call_async(Ask.Request(question=str(gate)))
    running.spin(0.3)
    second = client.call_async(Ask.Request(question="waits"))
    running.settle()
    third = ask(running, "too many")
    assert not first.done()
    assert (third["status"], third["reason"]) == (
        "BUSY",
        "1 queries are waiting already (max_queued_queries)",
    )
    gate.open()
    running.spin_until(lambda: first.done() and second.done())
    assert first.result().result.status == second.result().result.status == "ANSWERED"
    running.set(max_queued_queries=16)


def test_old_frame_is_stale(running, make):
    stamp = running.now()
    stamp.sec -= 80
    running.send_frame(stamp=stamp)
    result = point_at(running, "at 0.5,0.5")
    assert (result["status"], result["points"]) == ("STALE", [])


def test_inactive_node_refuses_and_names_its_state(running, make):
    assert running.change_state("deactivate")
    for result in (point_at(running, "mug"), ask(running, "what?")):
        assert (result["status"], result["reason"]) == ("ERROR", "the node is inactive: activate it first")
    assert running.change_state("activate")
    result = point_at(running, "mug")
    assert result["status"] == "NO_IMAGE"
    assert result["reason"].startswith("no image has arrived on /image: ")
    running.spin_until(lambda: running.node.count_subscribers("image"))
    running.meet()
    see(running, make)
    assert point_at(running, "at 0.5,0.5")["status"] == "FOUND"
