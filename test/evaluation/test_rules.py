# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Every rule against scores worked out by hand, on masks of a few pixels.

The picture is 10 wide and 8 high. The mask is the square of columns 2 to 4 and rows 3 to 5, so it holds the points of
[2, 5) x [3, 6) where they are cut off to pixels, and those of [1.5, 4.5] x [2.5, 5.5] where they are rounded.
"""

import sys

import numpy as np
import pytest

from molmo_ros.evaluation.evaluation_error import EvaluationError
from molmo_ros.evaluation.format_table import FORMATS, rules_named
from molmo_ros.evaluation.rules import Reply
from molmo_ros.evaluation.truth import MaskTruth, ObjectsTruth, PolygonTruth, WordTruth

RULES = {rule.name: rule for one in FORMATS.values() for rule in one.rules}
MASK = np.zeros((8, 10), bool)
MASK[3:6, 2:5] = True
IN, OUT, BEYOND = (3.0, 4.0), (7.0, 4.0), (10.0, 8.0)


def score(rule, truth, *points, text=""):
    return RULES[rule].score(truth, Reply(np.array(points, float).reshape(-1, 2), text))["score"]


@pytest.mark.parametrize(
    "points, pointarena, ai2, lmms_eval, share",
    [
        ([], 0, 0, 0, 0),
        ([IN], 1, 1, 1, 1),
        ([OUT], 0, 0, 0, 0),
        ([BEYOND], 0, 0, 0, 0),
        ([IN, OUT], 1, 0, 1 / 2, 1 / 2),
        ([OUT, IN], 0, 0, 1 / 2, 1 / 2),
        ([IN, IN, OUT], 1, 0, 2 / 3, 2 / 3),
        ([IN, BEYOND, OUT, OUT], 1, 0, 1 / 4, 1 / 4),
        # 4.9 is in column 4 where it is cut off, and in column 5, outside, where it is rounded.
        ([(4.9, 5.9)], 1, 1, 0, 1),
        # 1.6 is the other way round.
        ([(1.6, 3.0)], 0, 0, 1, 0),
        # Halves round to even numbers: 4.5 to 4, and 1.5 to 2.
        ([(4.5, 4.5)], 1, 1, 1, 1),
        ([(1.5, 3.0)], 0, 0, 1, 0),
    ],
)
def test_points_and_a_mask(points, pointarena, ai2, lmms_eval, share):
    truth = MaskTruth(MASK)
    found = [score(rule, truth, *points) for rule in ("pointarena", "ai2", "lmms-eval", "share")]
    assert found == pytest.approx([pointarena, ai2, lmms_eval, share])


@pytest.mark.parametrize(
    "points, pointarena, ai2, lmms_eval",
    [
        ([IN, IN], 1, 1, 1),
        ([IN], 0, 1, 1),  # one of two
        ([IN, IN, IN], 0, 1, 1),  # three of two
        ([IN, OUT], 0, 0, 1 / 2),
        ([IN, IN, OUT], 0, 0, 2 / 3),
        ([], 0, 0, 0),
    ],
)
def test_a_count_of_two(points, pointarena, ai2, lmms_eval):
    truth = MaskTruth(MASK, count=2)
    found = [score(rule, truth, *points) for rule in ("pointarena", "ai2", "lmms-eval")]
    assert found == pytest.approx([pointarena, ai2, lmms_eval])


def objects(*rectangles, points=None):
    masks = np.zeros((len(rectangles), 8, 10), bool)
    for mask, (left, top, right, bottom) in zip(masks, rectangles, strict=True):
        mask[top:bottom, left:right] = True
    centres = [((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in rectangles]
    return ObjectsTruth(masks, np.array(centres if points is None else points, float).reshape(-1, 2))


LEFT, RIGHT = (0, 0, 4, 8), (6, 0, 10, 8)


@pytest.mark.parametrize("rule", ["f1", "f1-by-distance"])
@pytest.mark.parametrize(
    "truth, points, f1, precision, recall",
    [
        (objects(), [], 1, 1, 1),
        (objects(), [IN], 0, 0, 0),
        (objects(LEFT), [], 0, 0, 0),
        (objects(LEFT), [(1, 1)], 1, 1, 1),
        (objects(LEFT, RIGHT), [(1, 1)], 2 / 3, 1, 1 / 2),
        (objects(LEFT, RIGHT), [(1, 1), (5, 1)], 1 / 2, 1 / 2, 1 / 2),
        (objects(LEFT, RIGHT), [(1, 1), (7, 1), (8, 7)], 4 / 5, 2 / 3, 1),
        # Two points in one object: one of them is too many, and the other object is missed.
        (objects(LEFT, RIGHT), [(1, 1), (2, 2)], 1 / 2, 1 / 2, 1 / 2),
        (objects(LEFT, RIGHT), [(7, 1), (1, 1)], 1, 1, 1),  # in any order
    ],
)
def test_objects(rule, truth, points, f1, precision, recall):
    scores = RULES[rule].score(truth, Reply(np.array(points, float).reshape(-1, 2), ""))
    assert scores == pytest.approx({"score": f1, "precision": precision, "recall": recall})


def test_the_best_assignment_is_found_where_masks_overlap():
    """The first point lies in both, the second in the first mask only: whoever takes the first fit finds one pair."""
    overlapping = objects((0, 0, 6, 8), (3, 0, 10, 8))
    assert score("f1", overlapping, (4, 4), (1, 4)) == 1


def test_assigned_by_distance_a_point_may_be_in_another_mask():
    """The points are nearest to the annotations crosswise: both lie in a mask, and neither in its own."""
    crossed = objects(LEFT, RIGHT, points=[(9, 0), (0, 7)])
    assert score("f1", crossed, (1, 7), (8, 0)) == 1
    assert score("f1-by-distance", crossed, (1, 7), (8, 0)) == 0


@pytest.mark.parametrize(
    "points, right",
    [
        ([(40, 20)], 1),
        ([(40, 20), (0, 0)], 1),
        ([(0, 0), (40, 20)], 0),
        ([], 0),
        ([(75, 20)], 0),
        # In the notch of its foot, which its box holds.
        ([(40, 45)], 0),
    ],
)
def test_the_first_point_in_a_polygon(points, right):
    """An arrow upwards with a notch in its foot, in a picture of 80 x 50."""
    arrow = PolygonTruth(np.array([(0.5, 0.1), (0.9, 1.0), (0.5, 0.8), (0.1, 1.0)]), (50, 80))
    assert score("first-point", arrow, *points) == right


@pytest.mark.parametrize(
    "word, text, right",
    [
        ("yes", "Yes.", 1),
        ("yes", " yes, it fits", 1),
        ("yes", "No.", 0),
        ("no", "No", 1),
        ("no", "It does not.", 0),
        ("no", "", 0),
    ],
)
def test_yes_and_no(word, text, right):
    assert score("first-point", WordTruth(word), text=text) == right


def test_every_rule_says_what_it_does():
    for rule in RULES.values():
        assert len(rule.explanation) > 20 and rule.of.endswith(".")


@pytest.mark.parametrize("name", ["f1", "f1-by-distance"])
def test_without_the_extra_a_rule_says_so_before_anything_is_asked(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(
        EvaluationError, match=rf"has no scipy, which rule {name} needs. It comes with the extra eval"
    ):
        rules_named("pixmo-points", [name])
    assert rules_named("point-bench", ["ai2"])
