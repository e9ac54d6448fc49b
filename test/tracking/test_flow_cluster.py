# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Robust motion of clusters, against motions that are made."""

import numpy as np
import pytest

from molmo_ros.tracking.flow_cluster import fit_flow, follow


def cluster(shift, turn, outliers=0, features=16, seed=0):
    rng = np.random.default_rng(seed)
    offsets = rng.uniform(-20, 20, features) + 1j * rng.uniform(-20, 20, features)
    flows = shift + (turn - 1) * offsets
    flows[:outliers] += 15 * np.exp(1j * rng.uniform(0, 6, outliers))
    return offsets, flows


@pytest.mark.parametrize("outliers", [0, 3, 6])
@pytest.mark.parametrize("turn", [1, 1.03, 1 + 0.04j])
def test_the_similarity_in_spite_of_outliers(turn, outliers):
    offsets, flows = cluster(4 - 3j, turn, outliers)
    flow = fit_flow(offsets[None], flows[None], np.ones((1, 16), bool))
    assert abs(flow.shift[0] - (4 - 3j)) < 0.05 and abs(flow.turn[0] - turn) < 0.005


def test_clusters_do_not_disturb_each_other():
    parts = [cluster(4, 1, seed=1), cluster(-7j, 1.02, seed=2)]
    flow = fit_flow(
        np.array([one for one, _ in parts]), np.array([two for _, two in parts]), np.ones((2, 16), bool)
    )
    np.testing.assert_allclose(flow.shift, [4, -7j], atol=1e-6)


def test_a_cluster_that_tells_nothing_moves_with_the_others():
    parts = [cluster(5 + 1j, 1, seed=seed) for seed in range(3)]
    good = np.ones((3, 16), bool)
    good[1] = False
    flow = fit_flow(np.array([one for one, _ in parts]), np.array([two for _, two in parts]), good)
    assert flow.shift[1] == pytest.approx(5 + 1j) and flow.turn[1] == 1


def test_nothing_at_all_stands_still():
    flow = fit_flow(np.zeros((2, 3), complex), np.ones((2, 3), complex), np.zeros((2, 3), bool))
    assert flow.shift.tolist() == [0, 0] and flow.turn.tolist() == [1, 1]


def test_follow_finds_features_that_moved_and_drops_those_that_left(wide_texture):
    before, after = wide_texture[:240, :320].copy(), wide_texture[2:242, 5:325].copy()
    places = np.array([100 + 100j, 200 + 150j, 2 + 100j])
    moved, good = follow(before, after, places)
    assert good.tolist() == [True, True, False]
    np.testing.assert_allclose(moved[:2], places[:2] - (5 + 2j), atol=0.05)


def test_follow_drops_what_is_gone(wide_texture):
    rng = np.random.default_rng(0)
    other = rng.integers(0, 255, (240, 320), np.uint8)
    places = rng.uniform(40, 200, 50) + 1j * rng.uniform(40, 200, 50)
    _, good = follow(wide_texture[:240, :320].copy(), other, places)
    assert good.mean() < 0.2
