# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a query returns: a status, points in original-image pixels, and the text they came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from molmo_ros.molmo.images.crop_budget import CropChoice
from molmo_ros.molmo.status import Status


class Asked(Enum):
    """What an answer answers; decides what its words may mean."""

    POINTS = "points"
    """To point at things, or to follow them."""
    COUNT = "count"
    """How many there are, which models answer with points and a total, or with a number alone."""
    WORDS = "words"
    """A question or a description: only points in tags, and a total only beside them."""
    ANYTHING = "anything"
    """Nobody knows: read as words, save that "There are none." is taken at its word."""


@dataclass(frozen=True)
class Point:
    """One point, in pixels of the image that was given.

    Attributes:
        x: Column [px], 0 at the left edge of the image, image width at its right edge.
        y: Row [px], 0 at the top edge of the image, image height at its bottom edge.
        label: What the model was pointing at, as it wrote it.
        index: The object's number in the answer, from 1; the model's own id where it gives one.
        image: Which image of the prompt, from 0.
        confidence: How sure the model was that there is such a point, and there, in [0, 1]; None where that is
            not known. What it means as a probability, see `Answer.calibrated`.
    """

    x: float
    y: float
    label: str = ""
    index: int = 1
    image: int = 0
    confidence: float | None = None


@dataclass(frozen=True)
class Answer:
    """The whole outcome of one query about one image.

    Attributes:
        status: See `Status`.
        text: The model's text, special tokens removed, surrounding blanks stripped.
        points: In the order in which the model gave them (Molmo sorts left to right).
        truncated: True where a limit cut the text off, or where it ended before its last tag was closed.
        limit: Which limit ended the answer: "max_new_tokens", "context", "time_limit" or "max_points"; else "".
        count: The total the text claims, None where it claims none; see `pointing/claimed_count.py`.
            It may disagree with `len(points)`: count the points.
        timing_ms: Wall time of each stage [ms]: preprocess, vision, prefill, decode, total.
        tokens: How many tokens the model generated.
        passes: How often the network ran for them; fewer than tokens where guesses were right.
        error: A sentence for people: what went wrong, why nothing was found that was asked for, or which limit
            ended the answer.
        crops: The limit that the images were cut under, and what they cost; None where none was encoded.
        not_found_probability: That there is no such thing, in [0, 1]: the probability of the not-found sentence,
            whatever the answer was. None where no token was generated.
        calibrated: Whether confidences and `not_found_probability` are right as often as they say, measured on
            images like those of docs/confidence.md. False: they only tell more from less sure.
    """

    status: Status
    text: str = ""
    points: tuple[Point, ...] = ()
    truncated: bool = False
    limit: str = ""
    count: int | None = None
    timing_ms: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    passes: int = 0
    error: str = ""
    crops: CropChoice | None = None
    not_found_probability: float | None = None
    calibrated: bool = False
