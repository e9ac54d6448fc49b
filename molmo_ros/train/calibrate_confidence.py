# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Fits and tests the calibration of a checkpoint's confidences on held-out scenes with known truth.

`python -m molmo_ros.train.calibrate_confidence [MODEL]` renders scenes that neither training nor evaluation has seen,
most of them disturbed, asks about them, and prints the tables of docs/confidence.md. With --write it leaves
calibration.json beside the weights.

A point is right where it lies on a thing that was asked for; "not found" is right where no such thing is in view.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from molmo_ros.molmo.answers.encoded_image import EncodedImage
from molmo_ros.molmo.answers.point_format import TextPoints
from molmo_ros.molmo.pipeline import Molmo, checkpoint_folder
from molmo_ros.molmo.running.choosing import Choice
from molmo_ros.molmo.scoring.confidence import PointEvidence
from molmo_ros.molmo.scoring.confidence_calibration import (
    ConfidenceCalibration,
    Curve,
    weights_fingerprint,
    write_calibration,
)
from molmo_ros.molmo.scoring.written_number import TOLERANCE
from molmo_ros.molmo.scoring.written_point_scorer import NumberTokens, WrittenPointScorer
from molmo_ros.sim.renderer import render
from molmo_ros.train.disturbance import DISTURBANCES, visible
from molmo_ros.train.evaluate import ask, hits
from molmo_ros.train.held_out import HEIGHT, WIDTH
from molmo_ros.train.queries import QueryMaker, mask_points
from molmo_ros.train.reliability import (
    area_under_roc,
    bins,
    brier,
    expected_calibration_error,
    fit_platt,
    isotonic,
    reliability_diagram,
)
from molmo_ros.train.scenes import KINDS

FIT_SEED, TEST_SEED = 600_000, 700_000
"""First seeds of the two parts; evaluation uses others, and training those from 1000000 on."""
QUERIES = 8
PLAIN = 0.35
"""Share of the scenes that are not disturbed."""
POINTING = ("one", "many", "absent", "count")
TOLERANCES = (0.005, 0.01, TOLERANCE, 0.03, 0.05)


@dataclass(frozen=True)
class ScoredPoint:
    """One point of an answer.

    Attributes:
        view: What was done to the view, a key of `DISTURBANCES`.
        right: Whether it lies on a thing that was asked for.
        score: The product's raw score.
        evidence: At each of `TOLERANCES`.
        not_found: Raw not-found probability of the answer.
    """

    view: str
    right: bool
    score: float
    evidence: tuple[PointEvidence, ...]
    not_found: float


@dataclass(frozen=True)
class ScoredAnswer:
    """The raw not-found probability of one answer, and whether nothing that was asked for is in view."""

    view: str
    right: bool
    score: float


Scored = Sequence[ScoredPoint | ScoredAnswer]


@dataclass
class Part:
    """What was collected about one part of the scenes."""

    points: list[ScoredPoint] = field(default_factory=list)
    answers: list[ScoredAnswer] = field(default_factory=list)


class ManyTolerances:
    """A `PointScorer` that is the product's, and keeps what others would say."""

    def __init__(self, numbers: NumberTokens) -> None:
        self.empty = 0.0
        self._scorers = [WrittenPointScorer(numbers, tolerance) for tolerance in TOLERANCES]
        self.evidence: list[tuple[PointEvidence, ...]] = []

    def feed(self, choice: Choice, piece: str) -> None:
        """See `PointScorer`."""
        for scorer in self._scorers:
            scorer.feed(choice, piece)

    def point(self, end: int) -> PointEvidence | None:
        """See `PointScorer`."""
        found = [scorer.point(end) for scorer in self._scorers]
        self.evidence.append(tuple(one for one in found if one is not None))
        return found[TOLERANCES.index(TOLERANCE)]


class Observed(TextPoints):
    """The way of writing points of a model whose scores are looked at.

    Attributes:
        last: The scorer of the last answer.
    """

    last: ManyTolerances

    def scorer(self, encoded: EncodedImage) -> ManyTolerances:
        """See `PointFormat`."""
        self.last = ManyTolerances(self._numbers)
        return self.last


def collect(model: Molmo, first: int, scenes: int) -> Part:
    """Asks about the scenes with seeds from `first` on, of all kinds in turn; `model` has raw scores from here on.

    A picture of another shape is stretched to 4:3, as the network's square view stretches it anyway.
    """
    part, observed = Part(), Observed(model.runtime, model.tokenizer)
    model.calibration, model.answerer.point_format = None, observed
    for seed in range(first, first + scenes):
        rng = np.random.default_rng(seed)
        scene = KINDS[seed % len(KINDS)](seed)
        view = (
            "plain"
            if rng.random() < PLAIN
            else str(rng.choice([key for key in DISTURBANCES if key != "plain"]))
        )
        disturbed = DISTURBANCES[view](render(scene, WIDTH, HEIGHT), rng)
        frame, names = visible(disturbed, [(thing.color, thing.shape) for thing in scene.objects])
        if not names:
            continue
        maker = QueryMaker(names, mask_points(frame.segmentation, len(names)), rng)
        image = model.encode(frame.rgb)
        for query in [maker.draw() for _ in range(QUERIES)]:
            if query.kind not in POINTING:
                continue
            answer = ask(model, image, query)
            not_found = answer.not_found_probability
            if not_found is None:
                continue
            part.answers.append(ScoredAnswer(view, not query.members, not_found))
            for point, hit, evidence in zip(
                answer.points, hits(answer, frame), observed.last.evidence, strict=True
            ):
                if point.confidence is not None:
                    right = hit in query.members
                    part.points.append(ScoredPoint(view, right, point.confidence, evidence, not_found))
    return part


def candidates() -> dict[str, Callable[[ScoredPoint], float]]:
    """The scores that are compared, by description."""

    def within(place: int) -> Callable[[ScoredPoint], float]:
        return lambda one: one.evidence[place].score(one.not_found)

    used = TOLERANCES.index(TOLERANCE)
    return {
        "geometric mean of the coordinates' tokens": lambda one: geometric_mean(one.evidence[used].tokens),
        "product of the coordinates' tokens": lambda one: math.prod(one.evidence[used].tokens),
        "existence alone": lambda one: one.evidence[used].exists(one.not_found),
        f"mass within {TOLERANCE:.1%} alone": lambda one: math.prod(one.evidence[used].near),
        **{
            f"mass within {tolerance:.1%}, times existence": within(place)
            for place, tolerance in enumerate(TOLERANCES)
        },
    }


def geometric_mean(probabilities: tuple[float, ...]) -> float:
    """The mean on the logarithm's scale."""
    return math.exp(sum(math.log(max(one, 1e-12)) for one in probabilities) / len(probabilities))


def arrays(
    items: Scored, score: Callable[[Any], float] = lambda one: one.score
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and outcomes."""
    return np.array([score(one) for one in items]), np.array([one.right for one in items], dtype=bool)


QUALITY = "ECE raw | Brier raw | ECE Platt | Brier Platt | ECE isotonic | Brier isotonic |"


def comparison(fit: Part, test: Part) -> str:
    """The candidates side by side, calibrated on one part and judged on the other, as Markdown."""
    lines = [f"| score of a point | AUC | {QUALITY}", "|---|---|---|---|---|---|---|---|"]
    for name, score in candidates().items():
        scores, right = arrays(test.points, score)
        cells = quality(*arrays(fit.points, score), scores, right)
        lines.append(f"| {name} | {area_under_roc(scores, right):.3f} | {cells} |")
    return "\n".join(lines)


def quality(known: np.ndarray, known_right: np.ndarray, scores: np.ndarray, right: np.ndarray) -> str:
    """ECE and Brier score of raw, Platt-scaled and isotonic scores, as cells of a row."""
    steps = isotonic(known, known_right)
    versions = (scores, scaled(fit_platt(known, known_right), scores), np.interp(scores, *steps))
    cells = [f"{expected_calibration_error(one, right):.3f} | {brier(one, right):.4f}" for one in versions]
    return " | ".join(cells)


def scaled(curve: Curve, scores: np.ndarray) -> np.ndarray:
    """The calibrated scores."""
    return np.array([curve(score) for score in scores])


def rounded(curve: Curve) -> Curve:
    """To as many digits as some thousand points can tell."""
    return Curve(round(curve.slope, 4), round(curve.offset, 4))


def reliability(scores: np.ndarray, right: np.ndarray) -> str:
    """The reliability table, as Markdown."""
    lines = ["| confidence | n | mean | right | 95 % interval |", "|---|---|---|---|---|"]
    for one in bins(scores, right):
        shown = f"{one.mean:.3f} | {one.share:.3f} | {one.interval[0]:.3f} to {one.interval[1]:.3f}"
        lines.append(f"| {one.low:.1f} to {one.high:.1f} | {one.count} | {shown if one.count else ' | | '} |")
    return "\n".join(lines)


def by_view(items: Scored, curve: Curve) -> str:
    """What the calibrated scores are worth under each disturbance, as Markdown."""
    lines = ["| view | n | right | mean confidence | AUC | ECE | Brier |", "|---|---|---|---|---|---|---|"]
    for view in DISTURBANCES:
        raw, right = arrays([one for one in items if one.view == view])
        if len(raw):
            scores = scaled(curve, raw)
            lines.append(
                f"| {view} | {len(raw)} | {right.mean():.3f} | {scores.mean():.3f} | {area_under_roc(raw, right):.3f} "
                f"| {expected_calibration_error(scores, right):.3f} | {brier(scores, right):.4f} |"
            )
    return "\n".join(lines)


def chapter(name: str, fit: Scored, test: Scored, curve: Curve) -> str:
    """Reliability, quality and views of one kind of score, as Markdown."""
    scores, right = arrays(test)
    cells = quality(*arrays(fit), scores, right)
    overall = (
        f"| AUC | {QUALITY}\n|---|---|---|---|---|---|---|\n| {area_under_roc(scores, right):.3f} | {cells} |"
    )
    calibrated = reliability(scaled(curve, scores), right)
    return "\n\n".join([f"### Reliability: {name}", calibrated, overall, by_view(test, curve)])


def report(fit: Part, test: Part, calibration: ConfidenceCalibration) -> str:
    """All tables, as Markdown."""
    return "\n\n".join(
        [
            f"### Scores compared\n\n{comparison(fit, test)}",
            chapter("points", fit.points, test.points, calibration.point),
            chapter("not found", fit.answers, test.answers, calibration.not_found),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="tiny")
    parser.add_argument("--scenes", type=int, default=800, help="of each part")
    parser.add_argument("--write", action="store_true", help="write calibration.json beside the weights")
    parser.add_argument("--diagram", type=Path, metavar="OUT.png", help="draw the reliability of both")
    args = parser.parse_args()
    model = Molmo.from_pretrained(args.model)
    if model.runtime.config.point_head is not None:
        raise SystemExit(
            f"{args.model} chooses its points among patches; this compares scores of written ones"
        )
    fit, test = (collect(model, first, args.scenes) for first in (FIT_SEED, TEST_SEED))
    folder = checkpoint_folder(args.model)
    calibration = ConfidenceCalibration(
        point=rounded(fit_platt(*arrays(fit.points))),
        not_found=rounded(fit_platt(*arrays(fit.answers))),
        weights=weights_fingerprint(folder),
        fitted_on={
            "images": "simulated scenes of every kind, 640x480, some of them disturbed; see docs/confidence.md",
            "first_seed": FIT_SEED,
            "scenes": args.scenes,
            "answers": len(fit.answers),
            "points": len(fit.points),
        },
    )
    print(report(fit, test, calibration))
    if args.diagram:
        parts: dict[str, tuple[Scored, Curve]] = {
            "points": (test.points, calibration.point),
            "not found": (test.answers, calibration.not_found),
        }
        diagrams = []
        for name, (items, curve) in parts.items():
            scores, right = arrays(items)
            diagrams.append(reliability_diagram(name, bins(scaled(curve, scores), right)))
        cv2.imwrite(str(args.diagram), np.hstack(diagrams))
    if args.write:
        write_calibration(folder, calibration)


if __name__ == "__main__":
    main()
