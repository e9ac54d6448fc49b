# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What followed the same tokens before."""

from itertools import islice

from molmo_ros.molmo.drafts import said_before
from molmo_ros.molmo.drafts.said_before import LABEL, SaidBefore

NUMBERS = range(1000, 2000)


def test_an_answer_is_followed_from_its_beginning_to_its_end():
    said = SaidBefore(NUMBERS)
    assert list(said.follow([])) == []
    said.learn([5, 6, 7, 8])
    assert list(said.follow([])) == [5, 6, 7, 8]
    assert list(said.follow([5, 6])) == [7, 8]
    assert list(said.follow([9, 9, 9])) == []


def test_the_newest_counts():
    said = SaidBefore(NUMBERS)
    said.learn([5, 6, 7, 8])
    said.learn([5, 6, 7, 9])
    assert list(said.follow([5, 6])) == [7, 9]


def test_other_numbers_change_nothing_of_what_follows():
    said = SaidBefore(NUMBERS)
    said.learn([1, 1001, 1234, 1567, 2, LABEL, 3])
    assert list(said.follow([1, 1001, 1999, 1888])) == [2, LABEL, 3]
    said.learn([1, 1001, 1002, 1003, 4])  # these very numbers are followed by something of their own
    said.learn([1, 1001, 1111, 1112, 2])
    assert next(said.follow([1, 1001, 1002, 1003])) == 4


def test_what_repeats_itself_has_no_end():
    said = SaidBefore(NUMBERS)
    said.learn([5] * 9)
    assert list(islice(said.follow([5, 5, 5]), 50)) == [5] * 50


def test_the_oldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(said_before, "MOST", 10)
    said = SaidBefore(NUMBERS)
    for first in range(0, 100, 10):
        said.learn(range(first, first + 5))
    assert list(said.follow([0, 1, 2])) == []
    assert list(said.follow([90, 91, 92])) == [93, 94]
