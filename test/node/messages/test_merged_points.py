# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What several queries say about one image, as one message: when it is complete, and what it claims."""

import pytest

pytest.importorskip("rclpy")

from geometry_msgs.msg import Point  # noqa: E402
from molmo_msgs.msg import ObjectPoint, ObjectPointArray, StageTime  # noqa: E402

from molmo_ros.node.messages.merged_points import merged_points  # noqa: E402
from molmo_ros.node.records.query import continuous_queries  # noqa: E402
from molmo_ros.node.records.query_names import query_names  # noqa: E402


def array(query, status="FOUND", kind="point", place=None, frame_id="", **fields):
    points = []
    if status == "FOUND":
        points = [ObjectPoint(label=query, has_position=place is not None, position=Point(x=place or 0.0))]
    return ObjectPointArray(
        query=query, status=status, kind=kind, points=points, frame_id=frame_id, camera="wrist", **fields
    )


def merged(written, *arrays):
    queries = continuous_queries(written)
    return merged_points(queries, query_names(queries), {one.query: one for one in arrays})


@pytest.mark.parametrize(
    ("statuses", "status", "complete"),
    [
        (("FOUND", "FOUND"), "FOUND", True),
        (("FOUND", "NOT_FOUND"), "FOUND", True),
        (("NOT_FOUND", "NOT_FOUND"), "NOT_FOUND", True),
        (("NO_DEPTH", "NOT_FOUND"), "NO_DEPTH", True),
        (("NOT_FOUND", None), "STALE", False),
        (("FOUND", None), "FOUND", False),
        (("NOT_FOUND", "TIMEOUT"), "TIMEOUT", False),
        (("NOT_FOUND", "UNPARSEABLE"), "UNPARSEABLE", False),
        (("FOUND", "ERROR"), "FOUND", False),
    ],
)
def test_not_found_only_where_nothing_is_there(statuses, status, complete):
    arrays = [array(query, one) for query, one in zip("ab", statuses, strict=True) if one]
    whole = merged(["a", "b"], *arrays)
    assert (whole.status, whole.complete) == (status, complete)
    assert [(one.query, one.topic) for one in whole.queries] == [("a", "a"), ("b", "b")]
    assert [one.status for one in whole.queries] == [one or "STALE" for one in statuses]


def test_a_question_is_neither_missing_nor_an_absence():
    said = array("what is it?", "ANSWERED", "ask", text="A mug.")
    assert merged(["a", "what is it?"], array("a"), said).complete
    assert merged(["a", "what is it?"], array("a")).complete
    assert merged(["a", "what is it?"], array("a", "NOT_FOUND"), said).status == "NOT_FOUND"
    assert not merged(["what is it?"], said).complete  # nothing was asked for points


def test_a_count_in_words_says_nothing_about_where():
    assert not merged(["count: mugs"], array("count: mugs", "ANSWERED", "count")).complete


def test_points_say_whose_they_are_and_the_parts_stay_as_they_were():
    parts = [array("a", place=1.0, frame_id="base"), array("b", place=2.0, frame_id="base")]
    whole = merged(["a", "b"], *parts)
    assert [(one.query, one.position.x) for one in whole.points] == [("a", 1.0), ("b", 2.0)]
    assert (whole.frame_id, whole.query, whole.camera) == ("base", "a; b", "wrist")
    assert [one.points[0].query for one in parts] == ["", ""] and not parts[0].queries


def test_places_in_two_frames_are_not_mixed():
    """`target_frame` was changed between the two answers."""
    whole = merged(["a", "b"], array("a", place=1.0, frame_id="base"), array("b", place=2.0, frame_id="map"))
    assert whole.frame_id == "map"
    assert [one.has_position for one in whole.points] == [False, True]
    assert "base" in whole.points[0].reason and "map" in whole.points[0].reason


def test_times_are_added():
    def timed(query, nanoseconds):
        one = array(query, timings=[StageTime(stage="model")])
        one.timings[0].duration.nanosec = nanoseconds
        return one

    (timing,) = merged(["a", "b"], timed("a", 600_000_000), timed("b", 600_000_000)).timings
    assert (timing.duration.sec, timing.duration.nanosec) == (1, 200_000_000)


def test_one_query_alone_is_its_own_record():
    one = array("a", text="said", request_id="7", has_count=True, count=3)
    whole = merged(["a"], one)
    assert (whole.query, whole.text, whole.request_id, whole.count) == ("a", "said", "7", 3)
    assert whole.complete and whole.queries[0].count == 3
