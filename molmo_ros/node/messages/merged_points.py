# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What several queries say about one image, as one message."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from molmo_msgs.msg import ObjectPoint, ObjectPointArray, QueryState, StageTime
from rclpy.duration import Duration

from molmo_ros.molmo.status import Status, of_queries
from molmo_ros.node.records.query import Kind, Query

NOT_ASKED = "not asked about this image"
WORDS = [kind.value for kind in Kind if not kind.points]
"""Kinds of queries that ask for no points."""


def merged_points(
    queries: Sequence[Query], names: Mapping[str, str], arrays: Mapping[str, ObjectPointArray]
) -> ObjectPointArray:
    """One array over all queries about an image.

    Args:
        queries: Those that are asked about the image's camera.
        names: What they are called in topic names, by what was written.
        arrays: The records of those of which something is known, by what was written: at least one. All are about one
            image.

    Returns:
        An array of its own. `complete` says whether each query that asks for points is answered about this image, or
        has its points tracked into it: only then does the absence of points mean that nothing is there.
    """
    known = [arrays[query.written] for query in queries if query.written in arrays]
    array = copy.copy(known[0])
    array.queries = [
        _state(query, names.get(query.written, ""), arrays.get(query.written)) for query in queries
    ]
    array.complete = all(_complete(state) for state in array.queries) and any(
        state.kind not in WORDS for state in array.queries
    )
    if len(queries) == 1:
        return array
    array.query = "; ".join(query.written for query in queries)
    array.kind = known[0].kind if len({query.kind for query in queries}) == 1 else ""
    array.request_id = ""
    decisive = of_queries(Status(state.status) for state in array.queries)
    array.status = decisive.value if decisive else known[0].status
    array.reason = "; ".join(f"{state.query}: {state.reason}" for state in array.queries if state.reason)
    array.text = "\n".join(one.text for one in known if one.text)
    array.frame_id = next((one.frame_id for one in reversed(known) if one.frame_id), "")
    array.points = [_of(point, one, array.frame_id) for one in known for point in one.points]
    array.tracked = any(one.tracked for one in known)
    array.has_count, array.count = False, 0
    array.has_not_found_probability, array.not_found_probability = False, 0.0
    array.calibrated = all(one.calibrated for one in known)
    array.truncated = any(one.truncated for one in known)
    array.points_left_out = sum(one.points_left_out for one in known)
    array.tokens = sum(one.tokens for one in known)
    array.frame_age = max((one.frame_age for one in known), key=lambda age: (age.sec, age.nanosec))
    array.timings = _summed(known)
    return array


def known_in_pixels(array: ObjectPointArray) -> bool:
    """Whether a message without a status may be made of the current points: all that is there is among them."""
    return array.complete or bool(array.points and len(array.queries) <= 1)


def known_in_metres(array: ObjectPointArray) -> bool:
    """Whether a message in metres may be, too: what each query found has a place, or nothing was found."""
    without = (ObjectPointArray.NO_DEPTH, ObjectPointArray.NO_TRANSFORM)
    if not known_in_pixels(array) or any(state.status in without for state in array.queries):
        return False
    return not array.points or any(point.has_position for point in array.points)


def _complete(state: QueryState) -> bool:
    """Whether what the query asks for is known of the image; a question asks for no points."""
    return state.kind in WORDS or Status(state.status).points_known


def _state(query: Query, name: str, array: ObjectPointArray | None) -> QueryState:
    state = QueryState(query=query.written, kind=query.kind.value if query.kind else "", topic=name)
    if array is None:
        state.status, state.reason = ObjectPointArray.STALE, NOT_ASKED
        return state
    state.status, state.reason, state.text = array.status, array.reason, array.text
    state.has_count, state.count = array.has_count, array.count
    state.answered = array.answered
    return state


def _of(point: ObjectPoint, array: ObjectPointArray, frame_id: str) -> ObjectPoint:
    """A point of one query's array in the array of all, whose positions are in `frame_id`."""
    point = copy.copy(point)
    point.query = array.query
    if point.has_position and array.frame_id != frame_id:  # target_frame was changed between two answers
        point.has_position = point.has_normal = False
        point.reason = f"its place is known in {array.frame_id!r}, not in {frame_id!r}"
    return point


def _summed(arrays: Sequence[ObjectPointArray]) -> list[StageTime]:
    total: dict[str, int] = {}
    for array in arrays:
        for timing in array.timings:
            total[timing.stage] = total.get(timing.stage, 0) + Duration.from_msg(timing.duration).nanoseconds
    return [StageTime(stage=stage, duration=Duration(nanoseconds=ns).to_msg()) for stage, ns in total.items()]
