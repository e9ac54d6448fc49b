# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The fuzzer of answers, briefly; and that it would see what it is for."""

import random

import pytest

from benchmarks import answer_fuzz
from molmo_ros.molmo.answer import Asked
from molmo_ros.molmo.pointing.points import ParsedPoints


@pytest.mark.parametrize("seed", [1, 2])
def test_answers_are_read_as_they_were_made(seed):
    read, wrong = answer_fuzz.fuzz(seed, answers=500)
    assert (read, wrong) == (500, "")


def test_every_kind_of_answer_is_made_again_and_again():
    rng = random.Random(0)
    for maker in answer_fuzz.MAKERS:
        assert len({maker(rng).text for _ in range(200)}) > 60


def test_a_reader_of_wrong_places_or_totals_is_caught(monkeypatch):
    read = answer_fuzz.parse_points

    def everything_is_a_point(text, sizes, asked):
        return read(text, sizes, asked=Asked.POINTS)

    monkeypatch.setattr(answer_fuzz, "parse_points", everything_is_a_point)
    assert answer_fuzz.fuzz(1, answers=500)[1]
    monkeypatch.setattr(answer_fuzz, "parse_points", lambda text, sizes, asked: ParsedPoints())
    assert answer_fuzz.fuzz(1, answers=500)[1]
