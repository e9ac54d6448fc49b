# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Queries about made-up scenes: right answers, in a form that the product's own parser reads."""

import numpy as np
import pytest

from molmo_ros.molmo.pointing.points import parse_points
from molmo_ros.train.queries import NONE, QueryMaker, mask_points, points_text

NAMES = [("red", "cube"), ("red", "cube"), ("blue", "ball"), ("yellow", "banana")]
POINTS = np.array([[700.0, 300.0], [200.0, 500.0], [450.0, 450.0], [100.0, 900.0]])


def draw(kind, count=60, names=NAMES, points=POINTS):
    maker = QueryMaker(names, points, np.random.default_rng(4))
    return [getattr(maker, kind)() for _ in range(count)]


def fits(label, name):
    """Whether the words of a label describe an object; an independent reading of the label."""
    color, shape = name
    words = label.split()
    noun = words[-1].removesuffix("s")
    return (len(words) == 1 or words[0] == color) and noun in (shape, "object", "thing")


@pytest.mark.parametrize("kind", ["one", "many", "count"])
def test_labels_name_exactly_their_members(kind):
    for query in draw(kind):
        expected = [i for i, name in enumerate(NAMES) if fits(query.label, name)]
        assert sorted(query.members) == expected, query.label


@pytest.mark.parametrize("kind", ["one", "many", "count"])
def test_answers_parse_to_the_members_points_from_left_to_right(kind):
    for query in draw(kind):
        parsed = parse_points(query.answer, [(1000, 1000)])
        assert [(p.x, p.y) for p in parsed.points] == [tuple(POINTS[i]) for i in query.members]
        assert [p.x for p in parsed.points] == sorted(p.x for p in parsed.points)
        assert parsed.not_found == (query.answer == NONE)
        if kind == "count" and query.members:
            assert parsed.count == len(query.members)


def test_absent_labels_describe_nothing_in_the_scene():
    queries = draw("absent", 200)
    assert not any(fits(query.label, name) for query in queries for name in NAMES)
    assert all(query.answer == NONE and not query.members for query in queries)
    near = [
        q for q in queries if q.label.rstrip("s") in ("blue cube", "red ball", "yellow cube", "yellow ball")
    ]
    assert len(near) > 40, "most absent labels mix what is there"


def test_presence_is_answered_truly():
    for query in draw("presence"):
        assert query.answer == ("Yes." if any(fits(query.label, name) for name in NAMES) else "No.")


def test_colour_and_shape_are_asked_only_where_there_is_one_answer():
    assert {q.answer for q in draw("color") if q.kind == "color"} == {"Blue.", "Yellow."}
    assert {q.answer for q in draw("shape") if q.kind == "shape"} == {"A ball.", "A banana."}


def test_mask_points_lie_in_the_mask_even_of_a_ring():
    segmentation = np.full((60, 80), -1)
    v, u = np.mgrid[:60, :80]
    ring = np.abs(np.hypot(v - 30, u - 40) - 20) < 4
    segmentation[ring] = 0
    (x, y), missing = mask_points(segmentation, 2)
    assert segmentation[int(y / 1000 * 60), int(x / 1000 * 80)] == 0
    assert np.isnan(missing).all()


def test_coordinates_are_three_digits():
    assert points_text(np.array([[4.4, 999.8]]), "x") == '<points coords="1 1 004 999">x</points>'


def test_other_names_mean_the_same_things():
    maker = QueryMaker(NAMES, POINTS, np.random.default_rng(8), other_names=0.5)
    meant = {
        "box": "cube",
        "boxe": "cube",
        "block": "cube",
        "sphere": "ball",
        "can": "cylinder",
        "cup": "mug",
    }
    asked = set()
    for query in (draw() for _ in range(60) for draw in (maker.one, maker.many, maker.absent)):
        words = query.label.split()
        noun = words[-1].removesuffix("s")
        asked.add(noun)
        usual = " ".join([*words[:-1], meant.get(noun, noun)])
        assert sorted(query.members) == [i for i, name in enumerate(NAMES) if fits(usual, name)], query.label
    assert {"box", "block", "sphere", "cube", "ball"} <= asked
