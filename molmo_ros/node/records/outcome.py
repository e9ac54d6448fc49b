# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What came of one request: everything that is published about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.status import Status
from molmo_ros.node.records.frame import stamp_ns
from molmo_ros.node.records.located_point import LocatedPoint
from molmo_ros.node.records.request import Request
from molmo_ros.node.records.surroundings import Surroundings

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time
    from std_msgs.msg import Header

    from molmo_ros.node.records.frame import PictureMessage


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
        surroundings: What the image's pixels are in space; None where that is not known, or nothing was located.
        message: The image as it came; None where it was not looked at.
    """

    request: Request
    status: Status
    answer: Answer | None = None
    header: Header | None = None
    camera: str = ""
    size: tuple[int, int] = (0, 0)
    points: tuple[LocatedPoint, ...] = ()
    frame_id: str = ""
    viewpoint: tuple[float, float, float] = (0.0, 0.0, 0.0)
    reason: str = ""
    start_age: float | None = None
    timing_ms: dict[str, float] = field(default_factory=dict)
    dropped_points: int = 0
    answered: Time | None = None
    surroundings: Surroundings | None = None
    message: PictureMessage | None = None

    @property
    def made_way(self) -> bool:
        """Whether a more urgent request took its place: no outcome, it is asked again."""
        return self.request.preempted and self.status is Status.CANCELLED

    @property
    def stamp(self) -> int:
        """When the image was taken [ns]; 0 where there was none."""
        return 0 if self.header is None else stamp_ns(self.header)

    @property
    def taken(self) -> Time | None:
        """When the image was taken; None where there was none."""
        return None if self.header is None else self.header.stamp
