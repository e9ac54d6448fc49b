# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Scores by category and in all, statuses, what was skipped, and pictures of the worst."""

import re

import cv2
import numpy as np
import pytest

from molmo_ros.drawing import PINK
from molmo_ros.evaluation.answer_record import AnswerRecord
from molmo_ros.evaluation.evaluation_error import EvaluationError
from molmo_ros.evaluation.evaluation_report import EvaluationReport
from molmo_ros.evaluation.format_table import read_benchmark, rules_named
from molmo_ros.evaluation.question import Skipped
from molmo_ros.evaluation.worst_pictures import check_folder_for_pictures, write_worst
from molmo_ros.molmo.status import Status

IN, OUT = (35.0, 15.0), (5.0, 5.0)
SIZE = (40, 60)


@pytest.fixture
def report(point_bench, entry):
    """Three questions of one category, of which one is answered rightly and one by half, and one of another."""
    names = ("a.png", "b.png", "c.png")
    benchmark = read_benchmark(
        "point-bench",
        point_bench(
            *(entry(name) for name in names), entry("d.png", "counting", "Count.", 2), entry("e.png")
        ),
    )
    answers = ((IN,), (IN, OUT), (), (IN, IN))
    records = {
        str(number): AnswerRecord(
            str(number), Status.FOUND if points else Status.NOT_FOUND, "said", points, SIZE
        )
        for number, points in enumerate(answers)
    }
    rules = rules_named("point-bench", ["pointarena", "ai2", "lmms-eval"])
    skipped = [Skipped("4", "spatial", "it is gone")]
    return EvaluationReport.of("point-bench", benchmark.questions, records, rules, skipped, ["a note"])


def test_the_figures(report):
    figures = {result.rule.name: result for result in report.results}
    spatial = {name: result.categories["spatial"]["score"] for name, result in figures.items()}
    assert spatial == pytest.approx({"pointarena": 2 / 3, "ai2": 1 / 3, "lmms-eval": 1 / 2})
    assert all(result.categories["counting"]["score"] == 1 for result in figures.values())
    # 1 + 1 + 0 + 1, 1 + 0 + 0 + 1 and 1 + 1/2 + 0 + 1 of four; the categories' means weigh both the same.
    means = {name: result.questions["score"] for name, result in figures.items()}
    assert means == pytest.approx({"pointarena": 3 / 4, "ai2": 1 / 2, "lmms-eval": 5 / 8})
    by_category = {name: result.mean_of_categories for name, result in figures.items()}
    assert by_category == pytest.approx({"pointarena": 5 / 6, "ai2": 2 / 3, "lmms-eval": 3 / 4})
    # Ai2's figure is the mean of the categories.
    scores = {name: result.score for name, result in figures.items()}
    assert scores == pytest.approx({"pointarena": 3 / 4, "ai2": 2 / 3, "lmms-eval": 5 / 8})


def test_the_table(report):
    assert report.table() == [
        ["category", "questions", "pointarena", "ai2", "lmms-eval"],
        ["spatial", "3", "66.67", "33.33", "50.00"],
        ["counting", "1", "100.00", "100.00", "100.00"],
        ["all, mean of questions", "4", "75.00*", "50.00", "62.50*"],
        ["all, mean of categories", "4", "83.33", "66.67*", "75.00"],
    ]
    text = "\n".join(report.remarks())
    assert "FOUND 3, NOT_FOUND 1" in text
    assert "1 of 5 questions were skipped: these are figures of the rest, and not comparable" in text
    assert "  spatial 4: it is gone" in text and "a note" in text
    for rule in ("pointarena", "ai2", "lmms-eval"):
        assert re.search(rf"^{rule}: .*Comparable", text, re.MULTILINE)


def test_json(report):
    plain = report.plain()
    assert plain["rule"]["ai2"]["score"] == pytest.approx(2 / 3)
    assert plain["rule"]["ai2"]["categories"]["spatial"]["score"] == pytest.approx(1 / 3)
    assert (plain["questions"], plain["scored"], plain["statuses"]) == (5, 4, {"FOUND": 3, "NOT_FOUND": 1})
    assert plain["skipped"] == [{"id": "4", "category": "spatial", "reason": "it is gone"}]
    second = plain["answers"][1]
    assert second["words"] == "Point to the cup." and second["points"] == [[35.0, 15.0], [5.0, 5.0]]
    assert second["scores"] == {"pointarena": {"score": 1}, "ai2": {"score": 0}, "lmms-eval": {"score": 0.5}}


def test_a_mask_that_has_gone_since_it_was_asked_is_skipped(report, tmp_path):
    (tmp_path / "bench" / "selected_masks" / "spatial" / "a.png").unlink()
    questions = [answer.question for answer in report.answers]
    records = {answer.record.id: answer.record for answer in report.answers}
    again = EvaluationReport.of("point-bench", questions, records, rules_named("point-bench", ["ai2"]))
    assert [one.id for one in again.skipped] == ["0"] and len(again.answers) == 3 and again.wanted == 4


def test_pictures_of_the_worst(report, tmp_path):
    folder = tmp_path / "worst"
    check_folder_for_pictures(folder)
    write_worst(folder, report.worst(5))
    assert [path.name for path in sorted(folder.iterdir())] == ["01_spatial_2.png"]
    again = tmp_path / "more"
    lmms = EvaluationReport.of(
        "point-bench",
        [answer.question for answer in report.answers],
        {answer.record.id: answer.record for answer in report.answers},
        rules_named("point-bench", ["lmms-eval"]),
    )
    write_worst(again, lmms.worst(5))
    assert [path.name for path in sorted(again.iterdir())] == ["01_spatial_2.png", "02_spatial_1.png"]
    nothing, half = (
        cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in sorted(again.iterdir())
    )
    for picture in (nothing, half):
        # The plain grey outside of the mask is as it was; inside it has the mask's colour.
        assert picture[30, 10].tolist() == [200, 200, 200] and picture[18, 38].tolist() != [200, 200, 200]
    pink = np.all(half[:40] == PINK, axis=2)
    assert pink[15, 35] and pink[5, 5] and not np.all(nothing[:40] == PINK, axis=2).any()


def test_folders_that_take_no_pictures(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.png").write_bytes(b"")
    for folder, said in (
        (tmp_path / "full", "is not empty; pictures of the worst answers go into an empty or new folder"),
        (tmp_path / "full" / "a.png", "is no folder"),
        (tmp_path / "nowhere" / "worst", "there is no folder .*nowhere to make worst in"),
    ):
        with pytest.raises(EvaluationError, match=said):
            check_folder_for_pictures(folder)
