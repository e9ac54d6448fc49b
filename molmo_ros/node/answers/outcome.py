"""What came of one request: everything that is published about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from molmo_ros.molmo.answer import Answer, Status
from molmo_ros.node.answers.locate import LocatedPoint
from molmo_ros.node.cameras.frame import stamp_ns
from molmo_ros.node.queries.request import Request

DECISIVE = (
    Status.ERROR,
    Status.CANCELLED,
    Status.TIMEOUT,
    Status.FOUND,
    Status.ANSWERED,
    Status.UNPARSEABLE,
    Status.NOT_FOUND,
)
"""Of several answers, the first of these statuses that one has is that of all."""


@dataclass(frozen=True)
class Outcome:
    """Everything about one request that is published.

    Attributes:
        request: What was asked.
        status: Why the points are what they are.
        answer: What the model said; None where it was not asked.
        header: Header of the image; None where there was none.
        camera: Name of the camera; empty where the image came with the request.
        size: Width and height of the image [px].
        points: The answer's points with their places in space.
        frame_id: Frame of the places; empty where there are none.
        viewpoint: The camera's optical centre in that frame [m].
        reason: Why the status is what it is, or why points have no metres; may be empty.
        start_age: Age of the frame when the work on it started [s].
        timing_ms: The node's own stages [ms], added to the model's.
        dropped_points: How many points were left out for their low confidence.
        answered: Stamp (builtin_interfaces/Time) of the image that the model answered about, where that is not the
            header's: its points were tracked into this image.
    """

    request: Request
    status: Status
    answer: Answer | None = None
    header: Any = None
    camera: str = ""
    size: tuple[int, int] = (0, 0)
    points: tuple[LocatedPoint, ...] = ()
    frame_id: str = ""
    viewpoint: tuple[float, float, float] = (0.0, 0.0, 0.0)
    reason: str = ""
    start_age: float | None = None
    timing_ms: dict[str, float] = field(default_factory=dict)
    dropped_points: int = 0
    answered: Any = None

    @property
    def made_way(self) -> bool:
        """Whether a more urgent request took its place: no outcome, it is asked again."""
        return self.request.preempted and self.status is Status.CANCELLED

    @property
    def stamp(self) -> int:
        """When the image was taken [ns]; 0 where there was none."""
        return 0 if self.header is None else stamp_ns(self.header)


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
            timing[stage] = timing.get(stage, 0.0) + ms
    statuses = {answer.status for answer in labelled}
    absent = [label for label, answer in answers if answer.status is Status.NOT_FOUND]
    status = next(one for one in DECISIVE if one in statuses)
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
