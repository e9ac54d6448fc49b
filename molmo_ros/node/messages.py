"""Outcomes to messages: every message carries the source image's header, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from geometry_msgs.msg import Point as PointMessage
from geometry_msgs.msg import PointStamped, Pose, PoseArray
from std_msgs.msg import String

from molmo_ros.molmo.answer import Answer, Point, Status
from molmo_ros.node.locate import LocatedPoint
from molmo_ros.node.query import Query

ECHO_CHARS = 200
"""How much of a refused, overlong query is repeated in its result."""


@dataclass(frozen=True)
class Outcome:
    """Everything about one query that is published.

    Attributes:
        written: The query as it was written.
        query: What was understood of it; None where it was refused.
        answer: The model's answer, or a status without one.
        header: Header of the image; None where there was none.
        points: The answer's points with their places in space.
        reason: Why the status is what it is, or why points have no metres; may be empty.
        frame_age_ms: Age of the frame when the work on it started [ms].
        timing_ms: The node's own stages [ms], added to the model's.
        dropped_points: How many points were left out for their low confidence.
    """

    written: str
    query: Query | None
    answer: Answer
    header: Any = None
    points: Sequence[LocatedPoint] = ()
    reason: str = ""
    frame_age_ms: float | None = None
    timing_ms: dict[str, float] = field(default_factory=dict)
    dropped_points: int = 0

    @property
    def status(self) -> Status:
        return self.answer.status


def result_message(outcome: Outcome, *, age_ms: float | None = None, dropped: int = 0) -> String:
    """The whole outcome as one JSON object.

    Args:
        outcome: What came of the query.
        age_ms: Age of the frame at publication [ms].
        dropped: Frames that were replaced unseen since the node started.
    """
    answer, query, header = outcome.answer, outcome.query, outcome.header
    written = outcome.written
    if query is None and len(written) > ECHO_CHARS:
        written = written[:ECHO_CHARS] + f"... ({len(outcome.written)} characters)"
    points = outcome.points or [LocatedPoint(point) for point in answer.points]
    return String(
        data=json.dumps(
            {
                "query": written,
                "kind": query.kind.value if query else None,
                "continuous": bool(query and query.continuous),
                "status": answer.status.value,
                "text": answer.text,
                "points": [_point_record(point) for point in points],
                "dropped_points": outcome.dropped_points,
                "not_found_probability": _probability(answer.not_found_probability),
                "calibrated": answer.calibrated,
                "count": answer.count,
                "truncated": answer.truncated,
                "reason": outcome.reason,
                "stamp": {"sec": header.stamp.sec, "nanosec": header.stamp.nanosec} if header else None,
                "frame_id": header.frame_id if header else None,
                "frame_age_ms": _rounded(outcome.frame_age_ms),
                "age_ms": _rounded(age_ms),
                "timing_ms": {
                    name: round(ms, 2) for name, ms in (answer.timing_ms | outcome.timing_ms).items()
                },
                "tokens": answer.tokens,
                "crops": answer.crops.record() if answer.crops else None,
                "dropped_frames": dropped,
            },
            ensure_ascii=False,
        )
    )


def _point_record(point: LocatedPoint) -> dict[str, Any]:
    return {
        "x": round(point.pixel.x, 3),
        "y": round(point.pixel.y, 3),
        "label": point.pixel.label,
        "index": point.pixel.index,
        "confidence": _probability(point.pixel.confidence),
        "xyz": [round(value, 6) for value in point.xyz] if point.xyz else None,
        "spread": round(point.spread, 6) if point.xyz else None,
        "reason": point.reason,
    }


def _probability(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)


def pixels_message(header: Any, points: Sequence[Point]) -> PoseArray:
    """All points of an answer in pixels: x and y [px] of the original image, 0 at its edges, z = 0."""
    return PoseArray(header=header, poses=[_pose(point.x, point.y, 0.0) for point in points])


def points_message(header: Any, points: Sequence[LocatedPoint]) -> PoseArray:
    """All points that have a place, in the camera's optical frame [m]; no orientation (identity)."""
    return PoseArray(header=header, poses=[_pose(*point.xyz) for point in points if point.xyz])


def best_point_message(header: Any, points: Sequence[LocatedPoint]) -> PointStamped | None:
    """The best point in metres: the one nearest to the camera; None where no point has a place.

    The models sort their points left to right, so the first is not the best; the nearest one is the one a robot
    reaches first and nothing pointed at stands before it. `min_confidence` has taken unsure ones out before.
    """
    places = [point.xyz for point in points if point.xyz]
    if not places:
        return None
    x, y, z = min(places, key=lambda place: sum(value * value for value in place))
    return PointStamped(header=header, point=PointMessage(x=x, y=y, z=z))


def _pose(x: float, y: float, z: float) -> Pose:
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = float(x), float(y), float(z)
    return pose  # its orientation is the identity by default
