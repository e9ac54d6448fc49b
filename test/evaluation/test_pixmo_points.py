# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""PixMo-Points evaluation as it is published: Parquet, and pictures that whoever evaluates brings."""

import hashlib
import sys

import cv2
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from molmo_ros.evaluation.evaluation_error import EvaluationError, UnusableError
from molmo_ros.evaluation.format_table import read_benchmark
from molmo_ros.molmo.answer import Asked

SIZE = (4, 6)
DATA = cv2.imencode(".png", np.full((*SIZE, 3), 90, np.uint8))[1].tobytes()
DIGEST = hashlib.sha256(DATA).hexdigest()
URL = "https://example.org/cups.png"


def read(folder):
    return read_benchmark("pixmo-points", folder)


def masks(*corners, size=SIZE):
    """Lists of lists of lists, as the data set has them: one pixel each."""
    found = np.zeros((len(corners), *size), bool)
    for mask, (row, column) in zip(found, corners, strict=True):
        mask[row, column] = True
    return found.tolist()


@pytest.fixture
def pixmo(tmp_path):
    """Writes rows, with a picture called after its hash."""

    def make(*rows, name="data/test-00000-of-00001.parquet", picture=f"images/{DIGEST}.png"):
        usual = {"label": "cups", "image_url": URL, "image_sha256": DIGEST}
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        parquet.write_table(pa.Table.from_pylist([usual | row for row in rows]), path)
        if picture:
            (tmp_path / picture).parent.mkdir(exist_ok=True)
            (tmp_path / picture).write_bytes(DATA)
        return tmp_path

    return make


TWO = {"points": [{"x": 25.0, "y": 50.0}, {"x": 75.0, "y": 25.0}], "masks": masks((2, 1), (1, 4))}


def test_what_is_asked_and_what_is_right(pixmo):
    (question,) = read(pixmo(TWO)).questions
    query = question.query()
    assert (query.text, query.label, query.asked) == (
        "",
        "cups",
        Asked.POINTS,
    )  # worded once, by the model's family
    assert question.picture.rgb().shape == (*SIZE, 3)
    truth, note = question.truth(SIZE)
    assert truth.points.tolist() == [[1.5, 2.0], [4.5, 1.0]] and note == ""
    assert np.argwhere(truth.masks).tolist() == [[0, 2, 1], [1, 1, 4]]


def test_masks_of_another_size_are_scaled_and_told(pixmo):
    (question,) = read(pixmo(TWO)).questions
    truth, note = question.truth((8, 12))
    assert truth.masks.shape == (2, 8, 12) and truth.masks[0].sum() == 4
    assert "has 6x4 pixels and its picture 12x8" in note


def test_nothing_is_there(pixmo):
    (question,) = read(pixmo(TWO | {"points": []}, TWO)).questions[:1]
    assert len(question.truth(SIZE)[0].masks) == 0


@pytest.mark.parametrize(
    "picture",
    [
        f"images/{DIGEST}.png",
        f"{DIGEST}",
        f"images/{hashlib.sha256(URL.encode()).hexdigest()}",  # as Ai2's own program calls its downloads
        "images/holiday.png",  # any name: found by what is in it
    ],
)
def test_a_picture_is_found_by_its_hash(pixmo, picture):
    assert read(pixmo(TWO, picture=picture)).questions[0].picture.rgb().shape == (*SIZE, 3)


def test_a_picture_that_is_not_there_or_another(pixmo, tmp_path):
    (question,) = read(pixmo(TWO, picture=None)).questions
    with pytest.raises(
        UnusableError, match=f"no picture in .* has the SHA-256 {DIGEST}; it was published at {URL}"
    ):
        question.picture.rgb()
    (tmp_path / f"{DIGEST}.png").write_bytes(DATA + b"more")
    with pytest.raises(UnusableError, match="is another picture than the benchmark's"):
        read(tmp_path).questions[0].picture.rgb()


@pytest.mark.parametrize(
    "image", [{"bytes": DATA, "path": None}, {"bytes": None, "path": "a.png"}, "a.png", DATA]
)
def test_pictures_in_the_file_or_beside_it(pixmo, image, tmp_path):
    (tmp_path / "a.png").write_bytes(DATA)
    (question,) = read(pixmo(TWO | {"image": image}, picture=None)).questions
    assert question.picture.rgb().shape == (*SIZE, 3)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"masks": masks((2, 1))}, "has 2 points and 1 masks: they contradict each other"),
        ({"masks": [*masks((2, 1)), np.zeros(SIZE, bool).tolist()]}, "has an empty mask"),
        ({"masks": [[[True, False]], [[True]]]}, "are not of one size"),
        ({"masks": [[[True, False, False], [True]], [[True, True], [True, True]]]}, "are not of one size"),
        ({"masks": [[[True]], [[True], [True]], [[True]]]}, "are not of one size"),
        ({"masks": None}, "has no masks"),
        ({"points": None}, "has no points"),
        ({"points": [{"x": 25.0, "y": 101.0}]}, "outside of 0 to 100 percent"),
        ({"points": [{"x": 25.0, "y": float("nan")}]}, "outside of 0 to 100 percent"),
    ],
)
def test_rows_that_contradict_themselves(pixmo, change, said):
    broken, sound = read(pixmo(TWO | change, TWO)).questions
    with pytest.raises(UnusableError, match=said):
        broken.truth(SIZE)
    assert len(sound.truth(SIZE)[0].masks) == 2


def test_a_row_without_a_label(pixmo):
    benchmark = read(pixmo(TWO | {"label": None}, TWO))
    assert len(benchmark.questions) == 1
    assert benchmark.skipped[0].reason == "its label is None; a text is needed"


def test_rows_of_several_files_and_row_groups(pixmo, tmp_path):
    pixmo(TWO)
    rows = [{"label": f"cup {number}", "image_sha256": DIGEST, "image_url": URL} | TWO for number in range(7)]
    path = tmp_path / "data" / "test-00001-of-00002.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    questions = read(tmp_path).questions
    assert [one.words for one in questions] == ["cups", *(f"cup {number}" for number in range(7))]
    assert len({one.id for one in questions}) == 8
    assert all(len(one.truth(SIZE)[0].points) == 2 for one in reversed(questions))


def test_folders_that_are_none(tmp_path, pixmo):
    with pytest.raises(EvaluationError, match="has no Parquet files, and none in .*data"):
        read(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(EvaluationError, match="a.parquet is no Parquet file that can be read"):
        read(tmp_path)
    parquet.write_table(pa.table({"label": ["cups"]}), tmp_path / "a.parquet")
    with pytest.raises(EvaluationError, match="has no column masks and none points: another benchmark's"):
        read(tmp_path)


def test_without_the_extra_the_message_names_it(pixmo, monkeypatch):
    folder = pixmo(TWO)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        EvaluationError, match=r"has no pyarrow, .* It comes with the extra eval; .*pip install"
    ):
        read(folder)
