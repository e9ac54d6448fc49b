# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What continuous queries are called in topic names."""

import re

import pytest

from molmo_ros.node.records.query import continuous_queries
from molmo_ros.node.records.query_names import LONGEST_NAME, query_names

TOKEN = re.compile(r"[a-z](_?[a-z0-9])*")
"""What ROS accepts for every part of a topic's name: no digit first, no two underscores in a row."""


def names(*written):
    return list(query_names(continuous_queries(written)).values())


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("red cube", "red_cube"),
        ("point: Red  Cube!", "red_cube"),
        ("Point to the mug", "the_mug"),
        ("@wrist red cube", "red_cube"),
        ("count: mugs", "mugs"),
        ("3 bolts", "query_3_bolts"),
        ("café crème", "cafe_creme"),
        ("__x__/y", "x_y"),
        ("茶碗", "query_1"),
    ],
)
def test_words_become_a_name(written, name):
    assert names(written) == [name]


def test_names_are_unique_and_valid():
    written = ["mug", "@wrist mug", "@head mug", "Mug!", "茶", "碗", "x" * 500, "x" * 499, "9", "a__b"]
    given = names(*written)
    assert given[:4] == ["mug", "mug_2", "mug_3", "mug_4"]
    assert len(set(given)) == len(written)
    assert all(TOKEN.fullmatch(name) and len(name) <= LONGEST_NAME + 3 for name in given)


def test_a_question_has_no_points_and_no_name():
    assert names("what is it?", "mug", "ask: where") == ["mug"]


def test_a_text_twice_is_one_query():
    assert names("mug", "mug", "", "  ") == ["mug"]
