# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The mass near a point that was chosen among patches, on a small image whose patches are known by hand."""

import math

import numpy as np
import pytest
import torch

from molmo_ros.molmo.pointing.patch_points import PatchPlaces
from molmo_ros.molmo.pointing.point_tokens import PointTokens
from molmo_ros.molmo.running.choosing import Choice
from molmo_ros.molmo.scoring.chosen_point_scorer import ChosenPointScorer

# A mosaic of 2 x 20 patches, pooled two by two into ten pointable tokens, each a tenth of the image wide; and one token
# of a global view before them, which looks at patch 40.
MOSAIC = np.arange(40).reshape(2, 20)
POOLING = np.array([[40, -1, -1, -1], *([i, i + 1, i + 20, i + 21] for i in range(0, 20, 2))])
TOKENS = PointTokens(start=100, patches=11, subpatches=4, locations=9)


@pytest.fixture
def places():
    return PatchPlaces(TOKENS, POOLING, [MOSAIC], [(100, 1000)])


def among(ids, chosen, probabilities, word=1.0):
    """A choice among candidates; `word` is the probability that any of them comes next at all."""
    candidates = torch.tensor([math.log(value) if value else -1e5 for value in probabilities])
    logits = torch.full((TOKENS.all.stop,), -torch.inf)
    logits[0] = math.log(1 - word) if word < 1 else -torch.inf
    logits[ids[chosen]] = math.log(word)
    return Choice(ids[chosen], logits, candidates, chosen)


PATCHES = range(TOKENS.start, TOKENS.no_more_points + 1)


def point(scorer, patch, patches, word=1.0, subpatch=0, slots=(0.25, 0.25, 0.25, 0.25), location=4):
    scorer.feed(among(PATCHES, patch, patches, word), "<P>")
    scorer.feed(among(TOKENS.subpatch, subpatch, slots), "<S>")
    scorer.feed(among(TOKENS.location, location, (0.1,) * 4 + (0.2,) + (0.1,) * 4), "<L>")


def test_neighbours_count_where_they_are_near(places):
    patches = [0.0, *[0.05] * 3, 0.3, 0.2, *[0.025] * 5, 0.225]  # the last: no more points
    # The left slot of token 4 is 0.30 to 0.35 of the width: token 3, up to 0.30, is 0.025 away, token 5 is 0.075.
    scorer = ChosenPointScorer(places, tolerance=0.03)
    point(scorer, 4, patches)
    found = scorer.point(9)
    assert found.near == pytest.approx(((0.3 + 0.05) / (1 - patches[-1]),), rel=1e-4)
    assert found.tokens == pytest.approx((0.3, 0.25, 0.2), rel=1e-4)
    assert found.continued is None and scorer.empty == pytest.approx(0.225)
    scorer = ChosenPointScorer(places, tolerance=0.02)  # now neither
    point(scorer, 4, patches)
    assert scorer.point(9).near == pytest.approx((0.3 / (1 - patches[-1]),), rel=1e-4)


def test_a_next_point_is_decided_among_words_and_patches(places):
    scorer = ChosenPointScorer(places)
    point(scorer, 2, [0, 0, 1, *[0] * 9])
    assert scorer.point(9).score(not_found=0.25) == pytest.approx(0.75)
    scorer.feed(Choice(1, torch.zeros(TOKENS.all.stop)), "1")
    later = [*[0] * 8, 0.6, 0, 0, 0.4]
    scorer.feed(among(PATCHES, 8, later, word=0.5), "<P>")
    assert scorer.point(11).score(not_found=0.25) == pytest.approx(0.75)  # the first one, still
    scorer.feed(among(TOKENS.subpatch, 3, (0.25,) * 4), "<S>")
    scorer.feed(among(TOKENS.location, 0, (1 / 9,) * 9), "<L>")
    second = scorer.point(20)
    assert scorer.empty == 0
    assert second.continued == pytest.approx(0.5 * 0.6) and second.near == pytest.approx((1.0,))


def test_no_more_points_is_no_point(places):
    scorer = ChosenPointScorer(places)
    scorer.feed(among(PATCHES, 11, [*[0.01] * 11, 0.89]), "<N>")
    assert scorer.point(3) is None
    assert scorer.empty == pytest.approx(0.89)


def test_areas_by_hand(places):
    areas = places.areas
    assert np.isnan(areas[0]).any()  # of the global view
    assert areas[4] == pytest.approx([0, 0.35, 0.5, 0.1, 1.0])
    assert areas[10] == pytest.approx([0, 0.95, 0.5, 0.1, 1.0])


def test_areas_of_several_images_and_odd_edges():
    """3 x 3 patches: windows at the right and lower edge have empty slots and are half as wide."""
    mosaics = [np.arange(9).reshape(3, 3), np.arange(9, 13).reshape(2, 2)]
    pooling = np.array([[0, 1, 3, 4], [2, -1, 5, -1], [6, 7, -1, -1], [8, -1, -1, -1], [9, 10, 11, 12]])
    places = PatchPlaces(PointTokens(100, 5, 4, 9), pooling, mosaics, [(30, 30), (20, 20)])
    third = 1 / 3
    expected = [[0, third, third, 2 * third, 2 * third], [0, 2.5 / 3, third, third, 2 * third]]
    expected += [
        [0, third, 2.5 / 3, 2 * third, third],
        [0, 2.5 / 3, 2.5 / 3, third, third],
        [1, 0.5, 0.5, 1, 1],
    ]
    assert places.areas == pytest.approx(np.array(expected))
