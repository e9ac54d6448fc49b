# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The quality gate: what counts as the same answer, as drift, as good enough."""

import json

import pytest

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.quality import QualityReport, QualityThreshold, compare, drift
from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.status import Status


def answer(text, *places):
    points = tuple(Point(x, y, index=number) for number, (x, y) in enumerate(places, 1))
    return Answer(Status.FOUND if points else Status.ANSWERED, text, points)


REFERENCE = [answer("a", (0, 0), (10, 10)), answer("b", (5, 5)), answer("Yes."), answer("c", (1, 1))]
CANDIDATE = [answer("a'", (13, 14), (0, 0)), answer("b", (5, 5)), answer("No."), answer("c", (1, 1), (2, 2))]


def test_answers_are_counted_and_points_measured():
    report = compare(REFERENCE, CANDIDATE)
    assert (report.answers, report.identical, report.with_points, report.same_number) == (4, 1, 3, 2)
    assert report.drifts == (0.0, 0.0, 5.0)
    assert (report.drift(50), report.drift(100)) == (0.0, 5.0)
    assert report.drift(95) == pytest.approx(4.5)


def test_the_same_text_with_points_elsewhere_is_another_answer():
    """MolmoPoint's text does not hold the places."""
    assert compare([answer("a", (1, 1))], [answer("a", (1, 2))]).identical == 0


def test_drift_goes_to_the_nearest_point_whatever_the_order():
    assert drift([Point(0, 0), Point(3, 4)], [Point(3, 4), Point(0, 1)]) == [1.0, 0.0]


def test_a_report_becomes_json_and_a_paragraph():
    report = compare(REFERENCE, CANDIDATE)
    assert json.loads(json.dumps(report.as_dict())) == {
        "answers": 4,
        "identical": 1,
        "with_points": 3,
        "same_number_of_points": 2,
        "drift_px": {"median": 0.0, "95%": pytest.approx(4.5), "largest": 5.0},
    }
    assert report.text() == (
        "1 of 4 answers are the reference's to the letter; of 3 with points 2 have as many. Their points moved by "
        "0.0 px (median), 4.5 px (95 %), 5.0 px (largest)."
    )


def test_answers_without_points_have_no_drift():
    report = compare([answer("Yes.")], [answer("Yes.")])
    assert report.text() == "1 of 1 answers are the reference's to the letter; none of them has points."
    assert report.passes(QualityThreshold(drift=0))


@pytest.mark.parametrize(
    ("threshold", "passes"),
    [
        (QualityThreshold(same_points=0.6, drift=4.6), True),
        (QualityThreshold(same_points=0.7, drift=4.6), False),
        (QualityThreshold(same_points=0.6, drift=4.4), False),
        (QualityThreshold(same_points=0.6, drift=4.6, identical=0.25), True),
        (QualityThreshold(same_points=0.6, drift=4.6, identical=0.3), False),
    ],
)
def test_both_the_number_of_points_and_their_places_count(threshold, passes):
    assert compare(REFERENCE, CANDIDATE).passes(threshold) is passes


def test_a_report_without_any_points_left_does_not_pass():
    report = QualityReport(answers=10, identical=0, with_points=10, same_number=0, drifts=())
    assert not report.passes(QualityThreshold())


@pytest.mark.parametrize(
    "values",
    [{"same_points": 1.1}, {"same_points": -0.1}, {"drift": -1}, {"drift": float("nan")}, {"identical": 2}],
)
def test_thresholds_out_of_range_are_refused(values):
    (name,) = values
    with pytest.raises(EngineError, match=f"{name} is {values[name]}"):
        QualityThreshold(**values)


@pytest.mark.parametrize(("reference", "candidate"), [([], []), (REFERENCE, CANDIDATE[:3])])
def test_nothing_to_compare_is_refused(reference, candidate):
    with pytest.raises(EngineError, match="at least one picture"):
        compare(reference, candidate)
