# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points in plain text: what is handed out, and when."""

from molmo_ros.molmo.pointing.loose_points import LoosePoints


def fed(text, **settings):
    """What each character completes, and what the end does."""
    reader = LoosePoints(**settings)
    given = [(at, place) for at, char in enumerate(text) for place in reader.feed(char)]
    return given, reader.finish(), reader.doubt


def test_a_pair_is_handed_out_with_its_bracket():
    assert fed("at (12.0, 50.0).") == ([(14, (0.12, 0.5))], [], "")
    assert fed("p=120,500 and") == ([(9, (0.12, 0.5))], [], "")
    assert fed("p=120,500") == ([], [(0.12, 0.5)], "")


def test_pairs_that_may_be_fractions_wait_for_one_that_is_none():
    assert fed("(0.5, 0.5) (50.0, 0.5)") == ([(21, (0.005, 0.005)), (21, (0.5, 0.005))], [], "")
    given, late, doubt = fed("(0.5, 0.5) (1.0, 0.2)")
    assert (given, late) == ([], []) and "(0.5, 0.5) lies within 0..1" in doubt


def test_all_of_them_at_the_end():
    assert fed("(12.0, 50.0) p=120,500 ", at_once=False) == ([], [(0.12, 0.5), (0.12, 0.5)], "")
    assert fed("(0.5, 0.5)", at_once=False)[:2] == ([], [])


def test_no_more_is_kept_than_the_longest_form():
    reader = LoosePoints()
    for char in "(1" * 50_000:
        reader.feed(char)
    assert len(reader._recent) <= 64 and reader._held == []
