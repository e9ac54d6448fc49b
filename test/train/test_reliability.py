# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Measures of scores, against their definitions written as plain loops, and fits against what made the data."""

import itertools
import math

import numpy as np
import pytest

from molmo_ros.molmo.scoring.confidence_calibration import Curve
from molmo_ros.train.reliability import (
    area_under_roc,
    bins,
    brier,
    expected_calibration_error,
    fit_platt,
    isotonic,
    reliability_diagram,
    wilson,
)

RANDOM = np.random.default_rng(5)
SCORES = np.round(RANDOM.random(60), 1)  # with ties
RIGHT = RANDOM.random(60) < SCORES


def test_area_is_the_share_of_pairs_in_order():
    pairs = list(itertools.product(SCORES[RIGHT], SCORES[~RIGHT]))
    expected = sum(1.0 if good > bad else 0.5 if good == bad else 0.0 for good, bad in pairs) / len(pairs)
    assert area_under_roc(SCORES, RIGHT) == pytest.approx(expected)
    assert math.isnan(area_under_roc(SCORES, np.ones(60, bool)))


def test_bins_hold_every_score_once():
    scores = np.array([0.0, 0.05, 0.1, 0.55, 0.95, 1.0])
    right = np.array([False, True, True, False, True, True])
    table = bins(scores, right)
    assert [one.count for one in table] == [2, 1, 0, 0, 0, 1, 0, 0, 0, 2]
    assert (table[0].mean, table[0].share) == pytest.approx((0.025, 0.5))
    assert math.isnan(table[2].mean) and math.isnan(table[2].interval[0])
    expected = (2 * abs(0.025 - 0.5) + abs(0.1 - 1) + 0.55 + 2 * abs(0.975 - 1)) / 6
    assert expected_calibration_error(scores, right) == pytest.approx(expected)
    assert brier(scores, right) == pytest.approx(np.mean([0, 0.95**2, 0.9**2, 0.55**2, 0.05**2, 0]))


def test_interval_covers_the_truth_as_often_as_it_says():
    """Exactly, from the binomial distribution; Wilson's is a little off its 95 % either way."""
    for count, truth in ((20, 0.3), (50, 0.9), (200, 0.02)):
        chance = sum(
            math.comb(count, hits) * truth**hits * (1 - truth) ** (count - hits)
            for hits in range(count + 1)
            if wilson(hits / count, count)[0] <= truth <= wilson(hits / count, count)[1]
        )
        assert 0.92 < chance < 0.99


@pytest.mark.parametrize("true", [Curve(0.5, -2.0), Curve(1.1, 0.5), Curve(3.0, 8.0)])
def test_platt_finds_the_curve_that_made_the_outcomes(true):
    random = np.random.default_rng(1)
    scores = random.beta(2, 1, 40_000) if true.slope < 3 else random.beta(1, 12, 40_000)
    right = random.random(40_000) < [true(score) for score in scores]
    found = fit_platt(scores, right)
    assert found.slope == pytest.approx(true.slope, rel=0.06)
    assert found.offset == pytest.approx(true.offset, abs=0.06 * max(1.0, abs(true.offset)))


def test_platt_is_the_likeliest_even_where_newton_overshoots():
    """Scores that all but separate the outcomes, near 1: undamped steps run away."""
    random = np.random.default_rng(2)
    scores = 1 - 10 ** random.uniform(-7, -1, 500)
    right = random.random(500) < 0.97
    found = fit_platt(scores, right)

    def loss(curve):
        values = np.array([curve(score) for score in scores])
        return -np.log(np.where(right, values, 1 - values)).sum()

    for slope, offset in itertools.product((-0.01, 0.0, 0.01), repeat=2):
        assert loss(found) <= loss(Curve(found.slope + slope, found.offset + offset)) + 1e-9
    with pytest.raises(ValueError, match="of 500 outcomes 500 are right"):
        fit_platt(scores, np.ones(500, bool))
    with pytest.raises(ValueError, match="of 0 outcomes 0 are right"):
        fit_platt(np.array([]), np.array([], bool))


def test_isotonic_is_nondecreasing_and_no_other_is_nearer():
    scores, values = isotonic(SCORES + RANDOM.random(60) * 1e-3, RIGHT)
    order = np.argsort(scores)
    assert (np.diff(values[order]) >= 0).all()
    small = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    outcomes = np.array([False, True, False, False, True])
    _, fitted = isotonic(small, outcomes)
    steps = [k / 12 for k in range(13)]
    best = min(
        sum((value - outcome) ** 2 for value, outcome in zip(one, outcomes, strict=True))
        for one in itertools.combinations_with_replacement(steps, 5)
    )
    assert ((fitted - outcomes) ** 2).sum() == pytest.approx(best)  # 0, 1/3, 1/3, 1/3, 1


def test_diagram_shows_only_filled_bins():
    empty = reliability_diagram("x", bins(np.array([0.5]), np.array([True])))
    full = reliability_diagram("x", bins(SCORES, RIGHT))
    assert empty.shape == full.shape and empty.dtype == np.uint8
    assert ((full == (180, 90, 20)).all(-1)).sum() > ((empty == (180, 90, 20)).all(-1)).sum() > 0
