# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One answer of several: to a request with several labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.status import Status, of_labels


def joined(answers: Sequence[tuple[str, Answer]]) -> Answer:
    """One answer to a request of several labels.

    Args:
        answers: Label and answer of each, in the order of the request; an empty label leaves the points theirs.

    Returns:
        An answer whose points have the labels that were asked for, in the order of the labels.
    """
    labelled = [
        replace(answer, points=tuple(replace(one, label=label or one.label) for one in answer.points))
        for label, answer in answers
    ]
    if len(labelled) == 1:
        return labelled[0]
    counts = [answer.count for answer in labelled]
    timing: dict[str, float] = {}
    for answer in labelled:
        for stage, ms in answer.timing_ms.items():
            timing[stage] = max(timing.get(stage, 0.0), ms)  # they were made side by side
    absent = [label for label, answer in answers if answer.status is Status.NOT_FOUND]
    status = of_labels(answer.status for answer in labelled)
    errors = [f"{label}: {answer.error}".removeprefix(": ") for label, answer in answers if answer.error]
    if absent and status is not Status.NOT_FOUND:
        errors.append(f"not found: {', '.join(absent)}")
    return Answer(
        status=status,
        text="\n".join(filter(None, (answer.text for answer in labelled))),
        points=tuple(point for answer in labelled for point in answer.points),
        truncated=any(answer.truncated for answer in labelled),
        count=None if None in counts else sum(count or 0 for count in counts),
        timing_ms=timing,
        tokens=sum(answer.tokens for answer in labelled),
        limit=next(filter(None, (answer.limit for answer in labelled)), ""),
        error="; ".join(errors),
        crops=labelled[0].crops,
        calibrated=all(answer.calibrated for answer in labelled),
    )
