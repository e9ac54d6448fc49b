# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Why an answer has the points it has: every status, and all that follows from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class _Facts:
    """What is known of a status; attributes as of `Status`."""

    meaning: str = ""
    node_only: bool = False
    success: bool = False
    points_known: bool = False
    about_points: bool = False
    camera_failure: bool = False
    rank_of_labels: int | None = None
    rank_of_queries: int | None = None
    severity: int = 0


class Status(str, Enum):
    """Why an answer has the points it has. The value is the wire format.

    Attributes:
        meaning: A sentence; as the message's definition has it.
        node_only: Whether it takes a robot to have it: an answer of the model alone never does.
        success: Whether it is an answer to what was asked: that nothing is there is one. A goal then succeeds.
        points_known: Whether it is known where the points in the image are, or that there are none.
        about_points: Whether it replaces what was known of the points. Where it does not, those of the answer before
            are followed on.
        camera_failure: Whether it is what the camera gave, or did not give, that kept points from having a place.
        rank_of_labels: Of several labels of one request, the lowest rank is that of all: one that went wrong
            decides. None where only the node can have it.
        rank_of_queries: Of several continuous queries about one image, the lowest rank is that of all: points decide,
            and NOT_FOUND only where nothing is there. None where it says nothing about an image.
        severity: How bad it is for who watches the queries: the less is known, the higher; 0 is nothing to warn of.
    """

    meaning: str
    node_only: bool
    success: bool
    points_known: bool
    about_points: bool
    camera_failure: bool
    rank_of_labels: int | None
    rank_of_queries: int | None
    severity: int

    _value_: str

    def __new__(cls, value: str, facts: _Facts = _Facts()) -> Status:
        status = str.__new__(cls, value)
        status._value_ = value
        vars(status).update(vars(facts))
        return status

    FOUND = (
        "FOUND",
        _Facts(
            "At least one point.",
            success=True,
            points_known=True,
            about_points=True,
            rank_of_labels=4,
            rank_of_queries=1,
        ),
    )
    NOT_FOUND = (
        "NOT_FOUND",
        _Facts(
            "The model said that there is no such thing.",
            success=True,
            points_known=True,
            about_points=True,
            rank_of_labels=7,
            rank_of_queries=9,
        ),
    )
    ANSWERED = (
        "ANSWERED",
        _Facts(
            "Words, as asked for; no points.",
            success=True,
            about_points=True,
            rank_of_labels=5,
            rank_of_queries=10,
        ),
    )
    """A free-text answer to a question; no points were asked for. Of a count, a number without points."""
    UNPARSEABLE = (
        "UNPARSEABLE",
        _Facts(
            'Points were asked for, and the text holds neither points nor a "not found".',
            rank_of_labels=6,
            rank_of_queries=6,
            severity=3,
        ),
    )
    """Of a count, no number either."""
    NO_IMAGE = "NO_IMAGE", _Facts("No image has arrived.", node_only=True, camera_failure=True, severity=7)
    STALE = (
        "STALE",
        _Facts(
            "The newest image is too old.", node_only=True, camera_failure=True, rank_of_queries=8, severity=6
        ),
    )
    NO_DEPTH = (
        "NO_DEPTH",
        _Facts(
            "Points in pixels, none in metres: no usable depth or calibration.",
            node_only=True,
            points_known=True,
            about_points=True,
            camera_failure=True,
            rank_of_queries=3,
            severity=1,
        ),
    )
    NO_TRANSFORM = (
        "NO_TRANSFORM",
        _Facts(
            "Points in pixels, none in the frame that was asked for.",
            node_only=True,
            points_known=True,
            about_points=True,
            camera_failure=True,
            rank_of_queries=2,
            severity=2,
        ),
    )
    CANCELLED = (
        "CANCELLED",
        _Facts("By whoever asked, or because the node ends its work.", rank_of_labels=2, rank_of_queries=7),
    )
    TIMEOUT = (
        "TIMEOUT",
        _Facts(
            "The time limit ended the answer; points are those complete by then.",
            rank_of_labels=3,
            rank_of_queries=5,
            severity=5,
        ),
    )
    BUSY = "BUSY", _Facts("Too many queries are waiting.", node_only=True, severity=4)
    ERROR = "ERROR", _Facts("Anything else.", rank_of_labels=1, rank_of_queries=4, severity=8)


def of_labels(statuses: Iterable[Status]) -> Status:
    """The one of a request with several labels, from the model's answers about each: at least one."""
    return min(statuses, key=lambda status: status.rank_of_labels or 0)


def of_queries(statuses: Iterable[Status]) -> Status | None:
    """The one of several continuous queries about an image; None where none of theirs says anything about it."""
    ranked = [status for status in statuses if status.rank_of_queries is not None]
    return min(ranked, key=lambda status: status.rank_of_queries or 0, default=None)
