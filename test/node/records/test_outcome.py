# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The full record of an outcome."""

import math

import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from molmo_ros.molmo.answer import Answer, Point  # noqa: E402
from molmo_ros.molmo.status import Status  # noqa: E402
from molmo_ros.node.messages.object_points import duration, object_points  # noqa: E402
from molmo_ros.node.records.located_point import LocatedPoint  # noqa: E402
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.records.query import Kind, Query, parse_query  # noqa: E402
from molmo_ros.node.records.request import Request, Source  # noqa: E402

FOUND = Answer(
    Status.FOUND,
    "a mug",
    (Point(1.0, 2.0, "mugs", confidence=0.5), Point(3.0, 4.0, "mugs")),
    timing_ms={"decode": 2.0},
    tokens=5,
    count=2,
    calibrated=True,
)


def request(query=None):
    return Request(query or parse_query("count: mugs"), Source.ACTION, id="7")


def test_record_holds_everything_and_survives_the_wire():
    header = Header(stamp=Time(sec=100, nanosec=7), frame_id="optical")
    located = (
        LocatedPoint(FOUND.points[0], (0.1, 0.2, 0.3), 0.004, (0.0, 0.0, -1.0), track_id=9),
        LocatedPoint(FOUND.points[1], reason="no depth there"),
    )
    outcome = Outcome(
        request(),
        Status.FOUND,
        FOUND,
        header=header,
        camera="wrist",
        size=(64, 48),
        points=located,
        frame_id="base",
        reason="why",
        start_age=0.25,
        timing_ms={"model": 1.5},
        dropped_points=3,
    )
    array = object_points(outcome, now=101_000_000_007, dropped_frames=4)
    array = deserialize_message(serialize_message(array), type(array))
    assert array.header == header
    assert (array.camera, array.image_width, array.image_height) == ("wrist", 64, 48)
    assert (array.query, array.kind, array.source, array.request_id) == (
        "count: mugs",
        "count",
        "action",
        "7",
    )
    assert (array.status, array.reason, array.text, array.frame_id) == ("FOUND", "why", "a mug", "base")
    assert (array.has_count, array.count, array.tokens, array.calibrated) == (True, 2, 5, True)
    assert (array.points_left_out, array.dropped_frames, array.tracked) == (3, 4, False)
    assert (array.start_age.nanosec, array.frame_age.sec, array.frame_age.nanosec) == (250_000_000, 1, 0)
    assert [(one.stage, one.duration.nanosec) for one in array.timings] == [("model", 1_500_000)]
    assert not array.has_not_found_probability
    first, second = array.points
    assert (first.has_score, first.score, first.has_position, first.has_normal) == (True, 0.5, True, True)
    assert (first.position.x, first.position.y, first.position.z) == (0.1, 0.2, 0.3)
    assert (first.normal.z, first.track_id, first.reason) == (-1.0, 9, "")
    assert first.spread == pytest.approx(0.004)
    assert (second.has_score, second.has_position, second.has_normal) == (False, False, False)
    assert (second.pixel.x, second.pixel.y, second.reason) == (3.0, 4.0, "no depth there")
    assert (second.position.x, second.spread) == (0.0, 0.0)


def test_record_without_an_image_or_an_answer():
    array = object_points(Outcome(request(), Status.NO_IMAGE, camera="wrist", reason="none came"), now=10**18)
    assert (array.header, array.frame_age.sec, array.text) == (Header(), 0, "")
    refused = object_points(Outcome(request(Query(None, (), "x" * 5000)), Status.ERROR, reason="too long"))
    assert refused.kind == "" and refused.query == "x" * 200 + "... (5000 characters)"


@pytest.mark.parametrize("milliseconds", [0.0, 1e-6, 999.9999999, 1500.25, -0.5, -1000.0, -1234.5, 1e9])
def test_duration_is_normalised(milliseconds):
    message = duration(milliseconds)
    assert 0 <= message.nanosec < 10**9
    assert math.isclose(message.sec * 1e3 + message.nanosec * 1e-6, milliseconds, abs_tol=1e-6)


@pytest.mark.parametrize("years", [69, -69, 600])
def test_ages_of_another_century_fit_the_message(years):
    """A stamp before 1958 is more than 2^31 s ago."""
    message = duration(years * 365.25 * 86400e3)
    assert message.sec == (2**31 - 1 if years > 0 else -(2**31))


def test_kinds_have_the_words_of_the_message():
    from molmo_msgs.msg import ObjectPointArray

    assert {one.value for one in Kind} == {
        ObjectPointArray.POINT,
        ObjectPointArray.COUNT,
        ObjectPointArray.ASK,
        ObjectPointArray.PLACE,
    }
    assert [one.value for one in Source] == ["action", "service", "topic", "continuous"]
    assert all(getattr(ObjectPointArray, one.value) == one.value for one in Status)
