# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What `molmo-ros serve` says of an answer beside its text: points, scores, status, read by it from the tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from molmo_ros.molmo.answer import Answer, Asked, Point
from molmo_ros.molmo.status import Status
from molmo_ros.remote.answer_chunk import nonsense

MOST_POINTS = 100_000
_MODEL_STATUS = {one.value: one for one in Status if not one.node_only}
_LIMITS = ("max_new_tokens", "context", "time_limit", "max_points")


@dataclass(frozen=True)
class ServedAnswer:
    """The field of the last piece; attributes as of `Answer`."""

    status: Status
    points: tuple[Point, ...]
    count: int | None
    truncated: bool
    limit: str
    error: str
    not_found_probability: float | None
    calibrated: bool

    @classmethod
    def read(cls, own: Mapping[str, Any], images: int) -> ServedAnswer:
        """Reads the field.

        Args:
            own: What it holds.
            images: How many the question is about.

        Raises:
            ServerError: It is not as it should be.
        """
        points, count, limit = own.get("points") or [], own.get("count"), own.get("limit") or ""
        status = own.get("status")
        if status not in _MODEL_STATUS:
            raise nonsense(f"tells of the status {status!r:.80}; is it of another version?")
        if not isinstance(points, list) or len(points) > MOST_POINTS:
            raise nonsense(f"tells of the points {points!r:.80}")
        if count is not None and (type(count) is not int or count < 0):
            raise nonsense(f"tells of the count {count!r:.80}")
        reason = own.get("reason") or ""
        return cls(
            _MODEL_STATUS[status],
            tuple(served_point(one, images) for one in points),
            count,
            own.get("truncated") is True,
            limit if limit in _LIMITS else "",
            reason[:1000] if isinstance(reason, str) else "",
            _probability(own.get("not_found_probability")),
            own.get("calibrated") is True,
        )

    def over(self, answer: Answer, asked: Asked) -> Answer:
        """An answer that was read from the text, with what the server knows better.

        Args:
            answer: Of the same question.
            asked: What was asked, which the server may not have been told.
        """
        status, error = self.status, self.error
        asked_for_points = asked is Asked.POINTS or (asked is Asked.COUNT and self.count is None)
        if status is Status.ANSWERED and asked_for_points:
            status, error = Status.UNPARSEABLE, error or "the answer holds neither points nor a 'not found'"
        return replace(
            answer,
            status=status,
            points=self.points,
            count=self.count,
            truncated=self.truncated,
            limit=self.limit,
            error=error,
            not_found_probability=self.not_found_probability,
            calibrated=self.calibrated,
        )


def served_point(value: Any, images: int) -> Point:
    """A point, in pixels of the picture that was sent.

    Raises:
        ServerError: It is none.
    """
    if not isinstance(value, dict):
        raise nonsense(f"tells of the point {value!r:.80}")
    x, y = _number(value.get("x")), _number(value.get("y"))
    index, image, label = value.get("index", 1), value.get("image", 0), value.get("label") or ""
    if x is None or y is None or type(index) is not int or type(image) is not int or not 0 <= image < images:
        raise nonsense(f"tells of the point {value!r:.200}")
    return Point(
        x, y, label[:1000] if isinstance(label, str) else "", index, image, _probability(value.get("score"))
    )


def _number(value: Any) -> float | None:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None


def _probability(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and 0 <= number <= 1 else None
