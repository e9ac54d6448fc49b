# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How good scores are at telling right from wrong, and how true they are as probabilities.

All functions take scores [n] in [0, 1] and outcomes [n], True where what was scored turned out right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from molmo_ros.molmo.scoring.confidence_calibration import Curve, logit

BINS = 10
Z = 1.96
"""Standard deviations of a 95 % interval."""
SIDE, MARGIN = 360, 50
BLACK, GRAY, BLUE = (0, 0, 0), (190, 190, 190), (180, 90, 20)
FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Bin:
    """The scores in one tenth of [0, 1].

    Attributes:
        low, high: The tenth; scores equal to `high` belong to the next, save for 1.
        count: How many.
        mean: Their mean; NaN where there are none, as of all that follow.
        share: How many of them were right, as a share.
        interval: 95 % interval of that share (Wilson).
    """

    low: float
    high: float
    count: int
    mean: float
    share: float
    interval: tuple[float, float]


def area_under_roc(scores: np.ndarray, right: np.ndarray) -> float:
    """The chance that a right one scores higher than a wrong one, ties counted half; NaN without both kinds.

    By ranks: the Mann-Whitney statistic.
    """
    positives, negatives = int(right.sum()), int((~right).sum())
    if not positives or not negatives:
        return math.nan
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[right].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def brier(scores: np.ndarray, right: np.ndarray) -> float:
    """Mean squared difference of score and outcome; 0 is best."""
    return float(np.mean((scores - right) ** 2))


def expected_calibration_error(scores: np.ndarray, right: np.ndarray) -> float:
    """Mean over the bins, weighted by their count, of the distance between mean score and share right."""
    filled = [one for one in bins(scores, right) if one.count]
    return sum(one.count * abs(one.mean - one.share) for one in filled) / len(scores)


def bins(scores: np.ndarray, right: np.ndarray) -> list[Bin]:
    """The scores in ten bins of equal width."""
    which = np.minimum((scores * BINS).astype(int), BINS - 1)
    found = []
    for number in range(BINS):
        inside = which == number
        count = int(inside.sum())
        mean = float(scores[inside].mean()) if count else math.nan
        share = float(right[inside].mean()) if count else math.nan
        found.append(Bin(number / BINS, (number + 1) / BINS, count, mean, share, wilson(share, count)))
    return found


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a probability from a share of `count` trials. Source: E. B. Wilson 1927."""
    if not count:
        return math.nan, math.nan
    middle = (share + Z * Z / (2 * count)) / (1 + Z * Z / count)
    reach = Z / (1 + Z * Z / count) * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def fit_platt(scores: np.ndarray, right: np.ndarray) -> Curve:
    """The `Curve` under which the outcomes are likeliest: Newton's method, its steps halved where they overshoot.

    Raises:
        ValueError: All outcomes are equal, so that no curve is the best, or there are none.
    """
    if right.all() or not right.any():
        raise ValueError(
            f"of {len(right)} outcomes {int(right.sum())} are right: no curve can be fitted to that"
        )
    inputs = np.stack([[logit(score) for score in scores], np.ones(len(scores))], axis=1)
    sign = np.where(right, 1.0, -1.0)

    def loss(weights: np.ndarray) -> float:
        return float(np.logaddexp(0, -sign * (inputs @ weights)).sum())

    weights = np.array([1.0, 0.0])
    for _ in range(100):
        predicted = 1 / (1 + np.exp(-np.clip(inputs @ weights, -500, 500)))
        gradient = inputs.T @ (predicted - right)
        curvature = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        while np.abs(step).max() > 1e-12 and loss(weights - step) > loss(weights):
            step = step / 2
        weights = weights - step
    return Curve(float(weights[0]), float(weights[1]))


def isotonic(scores: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best nondecreasing step function from scores to outcomes, by pooling adjacent violators.

    Returns:
        The scores in order, and its value at each; `np.interp` takes both.
    """
    order = np.argsort(scores, kind="stable")
    blocks: list[tuple[float, int]] = []  # mean and count
    for value in right[order].astype(float):
        mean, count = value, 1
        while blocks and blocks[-1][0] >= mean:
            before, size = blocks.pop()
            mean, count = (mean * count + before * size) / (count + size), count + size
        blocks.append((mean, count))
    return scores[order], np.concatenate([np.full(count, mean) for mean, count in blocks])


def reliability_diagram(title: str, table: Sequence[Bin]) -> np.ndarray:
    """Draws each filled bin as a dot with its 95 % interval; on the gray diagonal, scores are as good as their word.

    Returns:
        uint8 BGR [SIDE + 2 * MARGIN, SIDE + 2 * MARGIN, 3].
    """
    picture = np.full((SIDE + 2 * MARGIN, SIDE + 2 * MARGIN, 3), 255, np.uint8)

    def place(x: float, y: float) -> tuple[int, int]:
        return round(MARGIN + x * SIDE), round(MARGIN + (1 - y) * SIDE)

    cv2.line(picture, place(0, 0), place(1, 1), GRAY, 1, cv2.LINE_AA)
    cv2.rectangle(picture, place(0, 0), place(1, 1), BLACK, 1)
    for tick in (0.0, 0.5, 1.0):
        x, y = place(tick, 0)
        cv2.putText(picture, f"{tick:g}", (x - 8, y + 18), FONT, 0.42, BLACK, 1, cv2.LINE_AA)
        x, y = place(0, tick)
        cv2.putText(picture, f"{tick:g}", (x - 30, y + 5), FONT, 0.42, BLACK, 1, cv2.LINE_AA)
    most = max(one.count for one in table)
    for one in table:
        if one.count:
            cv2.line(picture, place(one.mean, one.interval[0]), place(one.mean, one.interval[1]), BLUE, 2)
            radius = 3 + round(6 * (one.count / most) ** 0.5)
            cv2.circle(picture, place(one.mean, one.share), radius, BLUE, -1, cv2.LINE_AA)
    total = sum(one.count for one in table)
    heading = f"{title}: share right over confidence, n = {total}"
    cv2.putText(picture, heading, (MARGIN, MARGIN - 18), FONT, 0.45, BLACK, 1, cv2.LINE_AA)
    return picture
