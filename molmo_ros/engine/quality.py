# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What an engine does to answers: how many stay as the 16-bit model gave them, and how far points move.

The two models need not be in memory together: record the reference's answers (`quality_gate.record`), free it, record
the engine's, and `compare` them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from molmo_ros.engine.errors import EngineError
from molmo_ros.molmo.answer import Answer, Point


@dataclass(frozen=True)
class QualityThreshold:
    """How much an engine may differ from its reference.

    Attributes:
        same_points: The least share of answers with points that keep their number of points.
        drift: How far 95 % of the points may have moved at most [px].
        identical: The least share of answers that stay the same to the letter. 0 by default: where a model is unsure
            of a digit, bfloat16 alone writes another one.
    """

    same_points: float = 0.9
    drift: float = 10.0
    identical: float = 0.0

    def __post_init__(self) -> None:
        for name in ("same_points", "identical"):
            if not 0 <= getattr(self, name) <= 1:
                raise EngineError(f"{name} is {getattr(self, name)!r}; it is a share, from 0 to 1")
        if not self.drift >= 0:
            raise EngineError(f"drift is {self.drift!r}; it is a distance in pixels, 0 or more")


@dataclass(frozen=True)
class QualityReport:
    """How a candidate's answers compare with the reference's.

    Attributes:
        answers: How many were compared.
        identical: Of those, with the same text and the same points.
        with_points: Answers of the reference that hold points.
        same_number: Of those, with as many points here.
        drifts: Of the points of those, how far each moved, ascending [px].
    """

    answers: int
    identical: int
    with_points: int
    same_number: int
    drifts: tuple[float, ...]

    def drift(self, percent: float) -> float:
        """How far so many per cent of the points moved at most [px]; 0 without points."""
        return float(np.percentile(self.drifts, percent)) if self.drifts else 0.0

    def passes(self, threshold: QualityThreshold) -> bool:
        """Whether the candidate is good enough."""
        return (
            self.identical >= threshold.identical * self.answers
            and self.same_number >= threshold.same_points * self.with_points
            and self.drift(95) <= threshold.drift
        )

    def as_dict(self) -> dict[str, object]:
        """The figures, for a manifest."""
        return {
            "answers": self.answers,
            "identical": self.identical,
            "with_points": self.with_points,
            "same_number_of_points": self.same_number,
            "drift_px": {"median": self.drift(50), "95%": self.drift(95), "largest": self.drift(100)},
        }

    def text(self) -> str:
        """The figures in a sentence or two."""
        first = f"{self.identical} of {self.answers} answers are the reference's to the letter"
        if not self.with_points:
            return f"{first}; none of them has points."
        return (
            f"{first}; of {self.with_points} with points {self.same_number} have as many. Their points moved by "
            f"{self.drift(50):.1f} px (median), {self.drift(95):.1f} px (95 %), {self.drift(100):.1f} px (largest)."
        )


def compare(reference: Sequence[Answer], candidate: Sequence[Answer]) -> QualityReport:
    """Holds answers to the same pairs against each other.

    Raises:
        EngineError: There are none, or not as many of the one as of the other.
    """
    if not reference or len(reference) != len(candidate):
        raise EngineError(
            f"{len(candidate)} answers cannot be held against {len(reference)}: the quality of an engine is measured "
            "on at least one picture, with the same queries for both"
        )
    pairs = list(zip(reference, candidate, strict=True))
    pointing = [pair for pair in pairs if pair[0].points]
    same = [(one.points, other.points) for one, other in pointing if len(one.points) == len(other.points)]
    return QualityReport(
        answers=len(pairs),
        identical=sum(identical(one, other) for one, other in pairs),
        with_points=len(pointing),
        same_number=len(same),
        drifts=tuple(sorted(distance for points in same for distance in drift(*points))),
    )


def identical(reference: Answer, answer: Answer) -> bool:
    """Whether the text and the places of all points are the same."""

    def said(one: Answer) -> tuple[str, list[tuple[float, float, int, int]]]:
        return one.text, [(point.x, point.y, point.index, point.image) for point in one.points]

    return said(reference) == said(answer)


def drift(reference: Sequence[Point], points: Sequence[Point]) -> list[float]:
    """How far each of the reference's points is from the nearest of `points` [px]; their order does not count."""
    return [min(float(np.hypot(p.x - q.x, p.y - q.y)) for q in points) for p in reference]
