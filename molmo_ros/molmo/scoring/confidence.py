# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How sure a model was: scores in [0, 1] from the distributions that an answer's tokens were chosen from.

Two questions about each point:

* Is there such a point at all? For the first point of an answer, one minus the probability of an answer without
  any (`not_found.py`); for a later one, the probability of having gone on with the list instead of closing it.
* Is it there? The probability mass near the place that was chosen: a model that hesitates between 234 and 235 is
  sure, one that hesitates between 234 and 731 is not.

The score is their product. docs/confidence.md compares it with others on held-out scenes. Where the weights come with a
calibration (`confidence_calibration.py`), scores go through its curves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from molmo_ros.molmo.scoring.confidence_calibration import ConfidenceCalibration

if TYPE_CHECKING:  # they import torch
    from molmo_ros.molmo.running.choosing import Choice
    from molmo_ros.molmo.scoring.not_found import NotFoundScorer


@dataclass(frozen=True)
class PointEvidence:
    """What the distributions say about one point.

    Attributes:
        continued: Probability of having gone on to this point after the one before; None for the first.
        near: Probability mass near the chosen place, a factor for each part of the point.
        tokens: Probability of each of the tokens that make the point.
    """

    continued: float | None
    near: tuple[float, ...]
    tokens: tuple[float, ...]

    def exists(self, not_found: float) -> float:
        """Probability that there is such a point, given that of an answer without any."""
        return 1 - not_found if self.continued is None else self.continued

    def score(self, not_found: float) -> float:
        """The point's score in [0, 1], given the probability of an answer without any."""
        return min(max(self.exists(not_found) * math.prod(self.near), 0.0), 1.0)


class PointScorer(Protocol):
    """Follows an answer and tells about its points; one class for each way in which points are made of tokens.

    Attributes:
        empty: Probability that the list of points would have been closed before its first; 0 where a model
            never does that, or has not come to it.
    """

    empty: float

    def feed(self, choice: Choice, piece: str) -> None:
        """Takes the next token, and the text that it completed."""

    def point(self, end: int) -> PointEvidence | None:
        """The point that is complete with the first `end` characters of the text; None where it cannot be traced.

        Called once for each point, in order.
        """


class Confidence(Protocol):
    """How sure a model was of one answer, as it comes."""

    def feed(self, choice: Choice, piece: str) -> None:
        """Takes the next token, before the decoder has seen it, and the text that it completed."""

    def point(self, end: int) -> float | None:
        """The score of the point that is complete with the first `end` characters of the text; None where it cannot be
        traced. Called once for each point, in order."""

    @property
    def not_found(self) -> float | None:
        """Probability that there is no such thing; None before the first token."""

    @property
    def calibrated(self) -> bool:
        """Whether its scores are probabilities that were measured."""


class AnswerConfidence:
    """Follows one answer, and scores it."""

    def __init__(
        self, not_found: NotFoundScorer, points: PointScorer, calibration: ConfidenceCalibration | None = None
    ) -> None:
        """Starts before the first token.

        Args:
            not_found: Of this answer.
            points: Of this answer.
            calibration: Of these weights; None for raw scores.
        """
        self._not_found, self._points, self._calibration = not_found, points, calibration

    @property
    def calibrated(self) -> bool:
        """Whether its scores are probabilities that were measured."""
        return self._calibration is not None

    def feed(self, choice: Choice, piece: str) -> None:
        """Takes the next token, before the decoder has seen it, and the text that it completed."""
        self._not_found.feed(choice)
        self._points.feed(choice, piece)

    def point(self, end: int) -> float | None:
        """See `PointScorer.point`: its score, calibrated where that is possible."""
        evidence = self._points.point(end)
        if evidence is None:
            return None
        score = evidence.score(self._nothing or 0.0)
        return score if self._calibration is None else self._calibration.point(score)

    @property
    def not_found(self) -> float | None:
        """Probability that there is no such thing; None before the first token."""
        if self._nothing is None or self._calibration is None:
            return self._nothing
        return self._calibration.not_found(self._nothing)

    @property
    def _nothing(self) -> float | None:
        """Probability of an answer without points: of saying so, or of a list with nothing in it."""
        said = self._not_found.probability
        return None if said is None else said + (1 - said) * self._points.empty
