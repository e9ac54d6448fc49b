# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Leaving out the points of an answer that the model was not sure enough of."""

from __future__ import annotations

from dataclasses import replace

from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.status import Status


def sure_points(answer: Answer, minimum: float) -> tuple[Answer, int, str]:
    """An answer without the points below a confidence.

    Args:
        answer: What the model said.
        minimum: Lowest confidence that is kept; 0 keeps every point. Above 0 a point of unknown confidence is
            below it.

    Returns:
        The answer; how many points were left out; and a sentence about them, empty where there are none. The
        count stays what the model claims. An answer that was FOUND and has no point left is NOT_FOUND, or
        ANSWERED where the model counted some: then its count is still an answer, without points.
    """
    kept = tuple(one for one in answer.points if minimum <= 0 or (one.confidence or 0.0) >= minimum)
    dropped = len(answer.points) - len(kept)
    if not dropped:
        return answer, 0, ""
    status = answer.status
    if status is Status.FOUND and not kept:
        status = Status.ANSWERED if answer.count else Status.NOT_FOUND
    known = [one.confidence for one in answer.points if one.confidence is not None]
    highest = f"the highest confidence is {max(known):.3f}" if known else "none has a confidence"
    reason = f"{dropped} of {len(answer.points)} points are below min_confidence {minimum:g}; {highest}"
    if answer.count:
        reason += f"; count is the {answer.count} that the model claims"
    return replace(answer, status=status, points=kept), dropped, reason
