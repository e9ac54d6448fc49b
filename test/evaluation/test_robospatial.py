# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""RoboSpatial-Home: polygons, yes and no."""

import cv2
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from molmo_ros.evaluation.evaluation_error import EvaluationError
from molmo_ros.evaluation.format_table import read_benchmark
from molmo_ros.evaluation.truth import WordTruth, regions_of
from molmo_ros.molmo.answer import Asked

SIZE = (50, 80)
SQUARE = "[(0.25, 0.2), (0.5, 0.2), (0.5, 0.6), (0.25, 0.6)]"
PICTURE = cv2.imencode(".png", np.full((*SIZE, 3), 90, np.uint8))[1].tobytes()


def entry(answer=SQUARE, **changes):
    return {"category": "context", "question": "Where?", "answer": answer, "img": "images/a.png"} | changes


@pytest.fixture
def robospatial(tmp_path, save):
    def make(*entries):
        save(tmp_path / "images" / "a.png", PICTURE)
        save(tmp_path / "annotations.json", list(entries))
        return tmp_path

    return make


def test_a_polygon_and_a_word(robospatial):
    one, two = read_benchmark(
        "robospatial", robospatial(entry(), entry(" Yes", category="compatibility"))
    ).questions
    assert (one.words, one.asked, one.fractions) == ("Where?", Asked.POINTS, True)
    truth, _ = one.truth(SIZE)
    assert truth.contains(30, 20) and not truth.contains(45, 20) and not truth.contains(30, 35)
    assert truth.contains(20, 20) and not truth.contains(
        40, 20
    )  # its left edge is its own, its right edge is not
    assert (two.category, two.asked, two.truth(SIZE)) == (
        "compatibility",
        Asked.WORDS,
        (WordTruth("yes"), ""),
    )
    assert one.picture.rgb().shape == (*SIZE, 3)
    filled = regions_of(truth, SIZE)
    assert (
        filled[20, 30] == 1 and filled[20, 45] == 0 and 400 <= filled.sum() <= 460
    )  # 20 x 20, and its border


@pytest.mark.parametrize(
    "answer", ["[[0.25,0.2],[0.5,0.2],[0.5,0.6]]", [[0.25, 0.2], [0.5, 0.2], [0.5, 0.6]]]
)
def test_polygons_may_be_lists(robospatial, answer):
    assert len(read_benchmark("robospatial", robospatial(entry(answer))).questions) == 1


@pytest.mark.parametrize(
    "answer, reason",
    [
        ("maybe", "its answer is 'maybe'; it is yes, no, or the three corners or more of a polygon"),
        (None, "its answer is None; it is yes"),
        ("[(0.1, 0.2), (0.3, 0.4)]", "the three corners or more"),
        ("[(0.1, 0.2), (0.3, 0.4), (0.5, 1.2)]", "its polygon leaves the picture"),
        ("[(10, 20), (30, 40), (50, 12)]", "corners are fractions, from 0 to 1"),
        ("[(0.1, 0.1), (0.2, 0.2), (0.3, 0.3)]", "its polygon has no area"),
        ("[(0.1.2, 0.2), (0.3, 0.4), (0.5, 0.1)]", "the three corners or more"),
    ],
)
def test_answers_that_are_none(robospatial, answer, reason):
    benchmark = read_benchmark("robospatial", robospatial(entry(answer), entry()))
    assert [one.id for one in benchmark.questions] == ["1"]
    assert reason in benchmark.skipped[0].reason


def test_parquet(tmp_path):
    rows = [
        {
            "category": "context",
            "question": "Where?",
            "answer": SQUARE,
            "img": {"bytes": PICTURE, "path": None},
        },
        {"category": None, "question": "Fits?", "answer": "no", "img": {"bytes": PICTURE, "path": None}},
    ]
    (tmp_path / "data").mkdir()
    parquet.write_table(
        pa.Table.from_pylist(rows), tmp_path / "data" / "compatibility-00000-of-00001.parquet"
    )
    one, two = read_benchmark("robospatial", tmp_path).questions
    assert (one.category, two.category) == ("context", "compatibility")
    assert one.picture.rgb().shape == (*SIZE, 3) and two.truth(SIZE)[0].word == "no"


def test_folders_that_are_none(tmp_path):
    with pytest.raises(EvaluationError, match=r"has no annotations.json and no Parquet files"):
        read_benchmark("robospatial", tmp_path)
    parquet.write_table(pa.table({"label": ["cups"]}), tmp_path / "a.parquet")
    with pytest.raises(EvaluationError, match="has not the columns img, question and answer"):
        read_benchmark("robospatial", tmp_path)
