# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points that an answer writes as pairs of fractions."""

import pytest

from molmo_ros.evaluation.answer_record import AnswerRecord
from molmo_ros.evaluation.question import BenchmarkQuestion, StoredPicture
from molmo_ros.evaluation.written_fractions import asks_for_fractions, read_fractions
from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.status import Status

SIZE = (50, 80)


@pytest.mark.parametrize(
    "text, points",
    [
        ("[(0.25, 0.5), (1.0, 0)]", [(20, 25), (80, 0)]),
        ("It is at (0.25,0.5).", [(20, 25)]),
        ("[0.25, 0.5]", [(20, 25)]),
        ("( .25 , .5 )", [(20, 25)]),
        ("[[0.25, 0.5], [0.5, 0.5]]", [(20, 25), (40, 25)]),
        ("(25.0, 50.0)", []),  # percent, or anything
        ("(0.25, 0.5), (25.0, 50.0)", []),
        ("(0.25, 0.5, 0.75)", []),
        ("(-0.25, 0.5)", []),
        ("none", []),
        ("", []),
        ("(" * 50_000, []),
    ],
)
def test_pairs(text, points):
    assert [tuple(one) for one in read_fractions(text, SIZE)] == points


def test_whether_they_are_asked_for():
    assert asks_for_fractions("The coordinates should be\nbetween 0 and 1, as parts of it.")
    assert not asks_for_fractions("between 0 and 100") and not asks_for_fractions("Point to 1 cup.")


def question(fractions):
    return BenchmarkQuestion("7", "a", StoredPicture("a.png", bytes), "Where?", None, fractions=fractions)


def test_an_answer_is_read_so_where_it_was_asked_for():
    said = Answer(Status.UNPARSEABLE, "[(0.25, 0.5)]", error="it lies within 0..1")
    record = AnswerRecord.of(question(True), SIZE, said)
    assert (record.status, record.points, record.error) == (Status.FOUND, ((20.0, 25.0),), "")
    assert record.from_fractions
    record = AnswerRecord.of(question(False), SIZE, said)
    assert (record.status, record.points, record.error) == (Status.UNPARSEABLE, (), "it lies within 0..1")


def test_the_models_own_points_go_before_fractions():
    said = Answer(Status.FOUND, "(0.25, 0.5)", (Point(3, 4), Point(5, 6)))
    record = AnswerRecord.of(question(True), SIZE, said)
    assert record.points == ((3, 4), (5, 6)) and not record.from_fractions


def test_a_record_is_read_as_it_was_written():
    said = Answer(Status.FOUND, "über", (Point(1 / 3, 4),), tokens=9, timing_ms={"total": 12.34})
    record = AnswerRecord.of(question(False), SIZE, said)
    assert AnswerRecord.read(record.plain()) == record
    failed = AnswerRecord.of(question(False), SIZE, RuntimeError("the prompt is too long"))
    assert (failed.status, failed.error) == (Status.ERROR, "the prompt is too long")
    assert AnswerRecord.read(failed.plain()) == failed
