# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Answers with their points where they are now, read back by the reader of points."""

import numpy as np
import pytest

from molmo_ros.molmo.pointing.moved_points import moved_text, moved_tokens
from molmo_ros.molmo.pointing.patch_points import PatchPlaces
from molmo_ros.molmo.pointing.point_tokens import PointTokens
from molmo_ros.molmo.pointing.points import parse_points

SIZE = 480, 640
TEXTS = {
    "per mille": 'Counting the <points coords="1 1 346 075 2 382 429 3 999 000">mugs 1 346 075</points> shows 3.',
    "percent": '<points x1="10.0" y1="20.0" x2="30.5" y2="40.5" x3="99.9" y3="0.0" alt="cup">cup</points>',
    "one": ' <point x="63.5" y="44.5" alt="cup">cup</point>',
}


def places(text):
    return np.array([(one.x, one.y) for one in parse_points(text, [SIZE]).points])


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_points_are_where_they_have_moved_and_all_else_is_as_it_was(text):
    before = places(text)
    now = before * 0.5 + 40
    moves = [(tuple(old), tuple(new)) for old, new in zip(before, now, strict=True)]
    moved = moved_text(text, moves, SIZE)
    assert places(moved) == pytest.approx(now, abs=0.35)  # half a step
    assert (
        len(moved) == len(text)
        and parse_points(moved, [SIZE]).points[0].label == parse_points(text, [SIZE]).points[0].label
    )
    assert moved_text(text, [(one, one) for one, _ in moves], SIZE) == text
    only = moved_text(text, moves[:1], SIZE)
    assert places(only)[0] == pytest.approx(now[0], abs=0.35) and (places(only)[1:] == before[1:]).all()


@pytest.mark.parametrize("new", [(-1.0, 5.0), (5.0, 481.0), (float("nan"), 5.0), (5.0, float("inf"))])
def test_what_has_left_the_image_stays(new):
    text = TEXTS["per mille"]
    assert moved_text(text, [(tuple(places(text)[0]), new)], SIZE) == text


@pytest.mark.parametrize(
    "text", ["", "There are none.", "It is 3 100 200 wide.", '<points coords="1">x</points>']
)
def test_text_without_points_stays(text):
    assert moved_text(text, [((100.0, 100.0), (5.0, 5.0))], SIZE) == text


def test_the_border_has_the_trained_form():
    text = '<points coords="1 1 500 500">x</points>'
    assert 'coords="1 1 999 999"' in moved_text(text, [((320.0, 240.0), (640.0, 480.0))], SIZE)


@pytest.fixture
def patches():
    """An image of 6 x 4 patches, four of them in a token, behind two tokens of a global view."""
    mosaic = np.arange(8, 32).reshape(4, 6)
    tokens = [mosaic[row : row + 2, column : column + 2].ravel() for row in (0, 2) for column in (0, 2, 4)]
    pooling = np.array([[0, 1, 2, 3], [4, 5, 6, 7], *tokens])
    return PatchPlaces(PointTokens(1000, len(pooling), 4, 9), pooling, [mosaic], [SIZE])


def test_tokens_at_a_place_lie_at_that_place(patches):
    rng = np.random.default_rng(0)
    for x, y in rng.uniform(0, 1, (200, 2)):
        image, back_x, back_y = patches.locate(*patches.tokens_at(0, x, y))
        # Half a place, and what the places leave out of a patch at its end (0.33 is not a third).
        assert image == 0 and abs(back_x - x) <= 0.18 / 6 and abs(back_y - y) <= 0.18 / 4
    for patch in range(2, 8):
        for subpatch in range(4):
            for location in range(9):
                _, x, y = patches.locate(patch, subpatch, location)
                assert patches.tokens_at(0, x, y) == (patch, subpatch, location)
    assert patches.tokens_at(0, 1.0, 1.0) == (7, 3, 8) and patches.tokens_at(0, -1.0, 0.0) == (2, 0, 0)


def test_point_tokens_that_have_moved(patches):
    ids = patches.tokens

    def point(patch, subpatch, location):
        return [ids.patch[patch], ids.subpatch[subpatch], ids.location[location]]

    def place(*point):
        _, x, y = patches.locate(*point)
        return x * SIZE[1], y * SIZE[0]

    tokens = [7, 8, *point(3, 1, 4), 1, *point(2, 0, 0), 2, ids.no_more_points, 9]
    moves = [(place(3, 1, 4), place(6, 2, 7))]
    assert moved_tokens(tokens, moves, patches) == [
        7,
        8,
        *point(6, 2, 7),
        1,
        *point(2, 0, 0),
        2,
        ids.no_more_points,
        9,
    ]
    assert moved_tokens(tokens, [], patches) == tokens
    assert moved_tokens(tokens[:4], moves, patches) == tokens[:4]
