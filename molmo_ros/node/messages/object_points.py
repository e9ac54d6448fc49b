# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Outcomes to molmo_msgs: the one full record, from which every other published message is derived."""

from __future__ import annotations

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point as PointMessage
from geometry_msgs.msg import Vector3
from molmo_msgs.action import Query as QueryAction
from molmo_msgs.msg import ObjectPoint, ObjectPointArray, StageTime

from molmo_ros.node.records.frame import stamp_ns
from molmo_ros.node.records.located_point import LocatedPoint
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.records.progress import Progress

ECHO_CHARS = 200
"""How much of a refused, overlong query is repeated in its result."""


def object_points(outcome: Outcome, *, now: int = 0, dropped_frames: int = 0) -> ObjectPointArray:
    """The full record of an outcome.

    Args:
        outcome: What came of the request.
        now: The node's time at publication [ns], for the age of the frame.
        dropped_frames: Frames of the camera that were replaced unseen.
    """
    request, answer, query = outcome.request, outcome.answer, outcome.request.query
    written = query.written
    if len(written) > ECHO_CHARS and answer is None:
        written = f"{written[:ECHO_CHARS]}... ({len(query.written)} characters)"
    array = ObjectPointArray(
        camera=outcome.camera,
        image_width=outcome.size[0],
        image_height=outcome.size[1],
        query=written,
        kind=query.kind.value if query.kind else "",
        source=request.source.value,
        request_id=request.id,
        status=outcome.status.value,
        reason=outcome.reason,
        points=[object_point(point) for point in outcome.points],
        frame_id=outcome.frame_id,
        points_left_out=outcome.dropped_points,
        dropped_frames=dropped_frames,
        timings=[StageTime(stage=stage, duration=duration(ms)) for stage, ms in outcome.timing_ms.items()],
    )
    if outcome.header is not None:
        array.header = outcome.header
        array.frame_age = duration((now - stamp_ns(outcome.header)) * 1e-6)
    if outcome.start_age is not None:
        array.start_age = duration(outcome.start_age * 1e3)
    if answer is not None:
        array.answered = outcome.answered or array.header.stamp
        array.tracked = outcome.answered is not None and outcome.answered != array.header.stamp
        array.text, array.calibrated = answer.text, answer.calibrated
        array.truncated, array.tokens = answer.truncated, answer.tokens
        if answer.crops is not None:
            array.crops, array.image_tokens = answer.crops.passes, answer.crops.tokens
        if answer.count is not None:
            array.has_count, array.count = True, answer.count
        if answer.not_found_probability is not None:
            array.has_not_found_probability = True
            array.not_found_probability = answer.not_found_probability
    return array


def object_point(point: LocatedPoint) -> ObjectPoint:
    """One point; what is not known of it stays zero, and says so."""
    pixel, confidence = point.pixel, point.pixel.confidence
    message = ObjectPoint(
        label=pixel.label,
        pixel=PointMessage(x=float(pixel.x), y=float(pixel.y)),
        reason=point.reason,
        track_id=point.track_id,
    )
    if confidence is not None:
        message.has_score, message.score = True, float(confidence)
    if point.xyz is not None:
        x, y, z = point.xyz
        message.has_position, message.position = True, PointMessage(x=x, y=y, z=z)
        message.spread = float(point.spread)
        if point.normal is not None:
            x, y, z = point.normal
            message.has_normal, message.normal = True, Vector3(x=x, y=y, z=z)
    return message


def feedback(progress: Progress) -> QueryAction.Feedback:
    """The feedback of a Query goal."""
    return QueryAction.Feedback(
        header=progress.header,
        camera=progress.camera,
        text=progress.text,
        points=[object_point(point) for point in progress.points],
        frame_id=progress.frame_id,
    )


def duration(milliseconds: float) -> Duration:
    """A builtin_interfaces/Duration; one below 0 has a negative `sec`, as ROS writes it.

    Its 32 bits hold 68 years; the age of an image of an earlier time is that.
    """
    sec, nanosec = divmod(round(milliseconds * 1e6), 1_000_000_000)
    return Duration(sec=max(-(2**31), min(sec, 2**31 - 1)), nanosec=nanosec)
