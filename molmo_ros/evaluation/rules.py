# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The rules that answers are scored by. Several are in use for one benchmark, and score the same answers differently.

Where a rule is a published program's, it rounds points to pixels as that does: PointArena's and Ai2's Point-Bench
scorers cut off, lmms-eval's and Ai2's PixMo scorer round to the nearest, halves to even numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from molmo_ros.evaluation.truth import MaskTruth, ObjectsTruth, PolygonTruth, Truth, WordTruth

Scores = Mapping[str, float]
"""Of one answer: "score" from 0 to 1, and what else the rule says."""
Rounding = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Reply:
    """What is scored.

    Attributes:
        points: float [n, 2], x and y of each point in the answer's order [px].
        text: The answer.
    """

    points: np.ndarray
    text: str


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        name: On the command line.
        explanation: A sentence.
        of: Whose figures it is comparable with, and with what reservation; a sentence.
        score: Of one answer.
        by_category: Whether the figure for all is the mean of the categories', and not that of the questions.
        library: What it needs of the extra `eval`; empty for nothing.
    """

    name: str
    explanation: str
    of: str
    score: Callable[[Truth, Reply], Scores]
    by_category: bool = False
    library: str = ""


def inside(mask: np.ndarray, points: np.ndarray, rounding: Rounding = np.floor) -> np.ndarray:
    """bool [n]: which points [n, 2] lie in a mask bool [h, w]; those outside of the picture do not."""
    columns, rows = rounding(points.reshape(-1, 2)).astype(np.int64).T
    height, width = mask.shape
    within = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    hit = np.zeros(len(columns), bool)
    hit[within] = mask[rows[within], columns[within]]
    return hit


def pointarena(truth: Truth, reply: Reply) -> Scores:
    """The first point; of a count all points, and their number."""
    assert isinstance(truth, MaskTruth)
    counted = reply.points if truth.count is not None else reply.points[:1]
    right = len(counted) > 0 and bool(inside(truth.mask, counted).all())
    return {"score": float(right and truth.count in (None, len(counted)))}


def every_point(truth: Truth, reply: Reply) -> Scores:
    """All of at least one point."""
    assert isinstance(truth, MaskTruth)
    return {"score": float(len(reply.points) > 0 and bool(inside(truth.mask, reply.points).all()))}


def share_inside(truth: Truth, reply: Reply, rounding: Rounding = np.floor) -> Scores:
    """How many of the points, 0 without any."""
    assert isinstance(truth, MaskTruth)
    return {"score": float(inside(truth.mask, reply.points, rounding).mean()) if len(reply.points) else 0.0}


def share_of_nearest(truth: Truth, reply: Reply) -> Scores:
    """As `share_inside`, of the nearest pixels."""
    return share_inside(truth, reply, np.rint)


def assigned_f1(truth: Truth, reply: Reply, by_distance: bool = False) -> Scores:
    """Each point to one object at most and each object to one point: precision, recall and their harmonic mean.

    Args:
        truth: The objects; none is right only where there are no points.
        reply: The answer.
        by_distance: Whether the assignment has the least sum of distances to the annotated points; else it has the
            most points in their objects.
    """
    assert isinstance(truth, ObjectsTruth)
    points, masks = reply.points, truth.masks
    if not len(masks) or not len(points):
        both = float(len(masks) == len(points))
        return {"score": both, "precision": both, "recall": both}
    hits = np.stack([inside(mask, points, np.rint) for mask in masks], axis=1)
    cost = -hits.astype(float)
    if by_distance:
        cost = np.hypot(*(points[:, None, :] - truth.points[None, :, :]).transpose(2, 0, 1))
    from scipy.optimize import linear_sum_assignment

    found = float(hits[linear_sum_assignment(cost)].sum())
    return {
        "score": 2 * found / (len(points) + len(masks)),
        "precision": found / len(points),
        "recall": found / len(masks),
    }


def f1_by_distance(truth: Truth, reply: Reply) -> Scores:
    """See `assigned_f1`."""
    return assigned_f1(truth, reply, by_distance=True)


def first_point(truth: Truth, reply: Reply) -> Scores:
    """The first point in the polygon; or the word that the answer begins with."""
    if isinstance(truth, WordTruth):
        return {"score": float(reply.text.strip().lower().startswith(truth.word))}
    assert isinstance(truth, PolygonTruth)
    return {"score": float(len(reply.points) > 0 and truth.contains(*map(float, reply.points[0])))}


POINT_BENCH = (
    Rule(
        "pointarena",
        "the first point lies in the mask; of a count, all points do and there are exactly as many as there should be",
        "Comparable with figures of Point-Bench's authors, whose figure for all is the mean of the questions.",
        pointarena,
    ),
    Rule(
        "ai2",
        "every point lies in the mask, and there is at least one; numbers are not looked at",
        "Comparable with figures of Ai2's Molmo2 evaluator, which scales no mask; its figure for all is the mean of "
        "the categories.",
        every_point,
        by_category=True,
    ),
    Rule(
        "lmms-eval",
        "the share of points that lie in the mask, of counts too",
        "Comparable with figures of lmms-eval, whose words ask for tuples besides; its figure for all is the "
        "mean of the questions.",
        share_of_nearest,
    ),
)
PIXMO_POINTS = (
    Rule(
        "f1",
        "points and masks are assigned so that most points lie in their mask: the harmonic mean of precision and "
        "recall; no points where there is nothing is 1",
        "No published program assigns so; it is never below f1-by-distance.",
        assigned_f1,
        library="scipy",
    ),
    Rule(
        "f1-by-distance",
        "points are assigned to the nearest annotated points, least sum of distances; else as f1",
        "Comparable with figures of Ai2's Molmo2 evaluator.",
        f1_by_distance,
        library="scipy",
    ),
)
SHARE = (
    Rule(
        "share",
        "the share of points that lie in the mask, the mean over the questions",
        "Comparable with figures of the benchmarks' authors; where masks are JPEGs they average their grey levels.",
        share_inside,
    ),
)
ROBOSPATIAL = (
    Rule(
        "first-point",
        "the first point lies in the polygon; of the others, the answer begins with the right yes or no",
        "Comparable with figures of the benchmark's authors, who read points that are written as tuples only.",
        first_point,
    ),
)
