# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Point-Bench as it is published, and what may be wrong with a folder of it."""

import json

import cv2
import numpy as np
import pytest

from molmo_ros.evaluation.evaluation_error import EvaluationError, UnusableError
from molmo_ros.evaluation.format_table import read_benchmark
from molmo_ros.molmo.answer import Asked

SIZE = (40, 60)


def read(folder):
    return read_benchmark("point-bench", folder)


def test_what_is_asked_and_what_is_right(point_bench, entry):
    folder = point_bench(
        entry("a.png", words="  Point to the cup.\n"), entry("b.png", "counting", "Count the cups.", 3)
    )
    one, two = read(folder).questions
    assert (one.words, one.category, one.asked) == ("  Point to the cup.\n", "spatial", Asked.POINTS)
    assert (one.query().text, one.query().label) == ("  Point to the cup.\n", "")
    assert one.picture.rgb().shape == (*SIZE, 3)
    truth, note = one.truth(SIZE)
    assert truth.count is None and note == ""
    assert truth.mask.sum() == 100 and truth.mask[10:20, 30:40].all()
    assert two.asked is Asked.COUNT and two.truth(SIZE)[0].count == 3


def test_masks_may_lie_beside_the_categories(point_bench, entry):
    folder = point_bench(entry())
    (folder / "selected_masks" / "spatial" / "a.png").rename(folder / "selected_masks" / "a.png")
    assert read(folder).questions[0].truth(SIZE)[0].mask.sum() == 100


def test_names_that_unpacking_has_decomposed(point_bench, entry):
    folder = point_bench(entry("cafe\u0301.png"))
    (folder / "data.json").write_text(json.dumps([entry("caf\u00e9.png")]))
    benchmark = read(folder)
    assert benchmark.questions[0].picture.rgb().shape == (*SIZE, 3)
    assert benchmark.notes == ("2 files were found under another spelling of their names",)


def test_entries_without_a_mask_are_not_part_of_it(point_bench, entry):
    without = entry("b.png")
    del without["mask_filename"]
    benchmark = read(point_bench(entry(), without))
    assert len(benchmark.questions) == 1 and not benchmark.skipped
    assert "1 entries of data.json have no mask_filename" in benchmark.notes[0]


def test_a_mask_of_another_size_is_scaled_to_the_nearest_and_told(point_bench, entry):
    half = np.zeros((20, 30), np.uint8)
    half[5, 7] = 255
    question = read(point_bench(entry(), mask=half)).questions[0]
    truth, note = question.truth(SIZE)
    rows, columns = np.nonzero(truth.mask)
    assert (rows.tolist(), columns.tolist()) == ([10, 10, 11, 11], [14, 15, 14, 15])
    assert "a.png has 30x20 pixels and its picture 60x40: scaled to the nearest" in note
    assert "another ratio" not in note
    rows, columns = np.nonzero(question.truth((60, 90))[0].mask)
    assert set(zip(rows, columns, strict=True)) == {
        (row, column) for row in (15, 16, 17) for column in (21, 22, 23)
    }
    assert "another ratio" in question.truth((40, 40))[1]


@pytest.mark.parametrize(
    "stored, inside",
    [
        (np.full((1, 2), 127, np.uint8), 0),
        (np.full((1, 2), 128, np.uint8), 2),
        (np.array([[[0, 0, 200], [0, 0, 0]]], np.uint8), 1),  # one bright channel is enough
        (np.array([[[0, 0, 0, 255], [255, 255, 255, 255]]], np.uint8), 1),  # opacity is not brightness
        (np.array([[0, 65535]], np.uint16), 1),
    ],
)
def test_which_samples_of_a_mask_are_inside(point_bench, entry, stored, inside):
    folder = point_bench(entry(), picture=np.full((1, 2, 3), 90, np.uint8))
    (folder / "selected_masks" / "spatial" / "a.png").write_bytes(cv2.imencode(".png", stored)[1].tobytes())
    question = read(folder).questions[0]
    if inside:
        assert question.truth((1, 2))[0].mask.sum() == inside
    else:
        with pytest.raises(UnusableError, match="is empty: no point would be right"):
            question.truth((1, 2))


@pytest.mark.parametrize("count", [None, 0, -2, 1.5, "many", True, [1], ""])
def test_a_count_that_is_none(point_bench, entry, count):
    benchmark = read(point_bench(entry("a.png", "counting", count=count), entry("b.png")))
    assert [one.id for one in benchmark.questions] == ["1"]
    assert benchmark.skipped[0].reason.startswith(f"its count is {count!r}; a counting question has a whole")


@pytest.mark.parametrize("count", [2, 2.0, "2", " 2 "])
def test_a_count_as_it_may_be_written(point_bench, entry, count):
    question = read(point_bench(entry("a.png", "counting", count=count))).questions[0]
    assert question.truth(SIZE)[0].count == 2


def test_counts_that_contradict_each_other_or_the_mask(point_bench, entry):
    folder = point_bench(
        entry("a.png", "counting", "Count.", 2),
        entry("a.png", "counting", "Count.", 3),
        entry("b.png", "counting", "Count.", 101),
        entry("c.png", "counting", "Count.", 100),
    )
    benchmark = read(folder)
    assert [one.reason for one in benchmark.skipped] == [
        "the same question has the counts 2 and 3: they contradict each other"
    ] * 2
    with pytest.raises(UnusableError, match=r"its count is 101, and .* has 100 pixels to point at"):
        benchmark.questions[0].truth(SIZE)
    assert benchmark.questions[1].truth(SIZE)[0].count == 100


@pytest.mark.parametrize("missing", ["selected_images", "selected_masks"])
def test_a_missing_file_costs_its_own_question(point_bench, entry, missing):
    folder = point_bench(entry("a.png"), entry("b.png"))
    (folder / missing / "spatial" / "a.png").unlink()
    benchmark = read(folder)
    assert [one.id for one in benchmark.questions] == ["1"]
    assert benchmark.skipped[0].reason == f"there is no 'a.png' in {missing}/spatial"


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_files_that_cannot_be_read(point_bench, entry, content):
    folder = point_bench(entry())
    (folder / "selected_images" / "spatial" / "a.png").write_bytes(content)
    (folder / "selected_masks" / "spatial" / "a.png").write_bytes(content)
    question = read(folder).questions[0]
    with pytest.raises(UnusableError, match=r"selected_images/spatial/a.png is not a picture"):
        question.picture.rgb()
    with pytest.raises(UnusableError, match=r"selected_masks/spatial/a.png is not a picture"):
        question.truth(SIZE)


def test_a_file_that_has_gone_since(point_bench, entry):
    folder = point_bench(entry())
    question = read(folder).questions[0]
    (folder / "selected_images" / "spatial" / "a.png").unlink()
    with pytest.raises(UnusableError, match="cannot be read: No such file"):
        question.picture.rgb()


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"user_input": None}, "its user_input is None; a text is needed"),
        ({"user_input": " "}, "its user_input is ' '; a text is needed"),
        ({"image_filename": "../../../a.png"}, "there is no '../../../a.png' in selected_images/spatial"),
        ({"image_filename": 7}, "there is no 7 in selected_images/spatial"),
        ({"mask_filename": None}, "there is no None in selected_masks/spatial"),
    ],
)
def test_entries_with_something_else_in_them(point_bench, entry, change, reason):
    folder = point_bench(entry("a.png"))
    (folder / "data.json").write_text(json.dumps([entry("a.png"), entry("a.png") | change, "words"]))
    benchmark = read(folder)
    assert len(benchmark.questions) == 1
    assert benchmark.skipped[0].reason == reason
    assert benchmark.skipped[1].reason == "its entry is a text, not an object with the question's fields"


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'["\xe9"]', "is in no encoding of Unicode: save it as UTF-8"),
        (b"{}", "holds an object; the benchmark's has a list of questions"),
        (b"[]", "has no question that can be asked"),
        (b'[{"mask_filename": "a"}]', "has no question that can be asked: its user_input is None"),
    ],
)
def test_an_index_that_is_none(point_bench, entry, content, said):
    folder = point_bench(entry())
    (folder / "data.json").write_bytes(content)
    with pytest.raises(EvaluationError, match=said):
        read(folder)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_an_index_in_another_encoding(point_bench, entry, encoding):
    folder = point_bench(entry(words="Zeige auf die Größe."))
    index = folder / "data.json"
    index.write_bytes(json.dumps(json.loads(index.read_text()), ensure_ascii=False).encode(encoding))
    assert read(folder).questions[0].words == "Zeige auf die Größe."


def test_folders_that_are_none(tmp_path, point_bench, entry):
    with pytest.raises(
        EvaluationError, match=r"there is no folder .*nowhere; a point-bench benchmark has data"
    ):
        read(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvaluationError, match=r"data.json cannot be read: No such file"):
        read(tmp_path / "empty")
    folder = point_bench(entry())
    (folder / "selected_images").rename(folder / "elsewhere")
    (folder / "selected_images.zip").write_bytes(b"")
    with pytest.raises(EvaluationError, match=r"no folder selected_images; unpack selected_images.zip there"):
        read(folder)


def test_a_part_has_every_category_in_turn(point_bench, entry):
    names = [("a.png", "spatial"), ("b.png", "spatial"), ("c.png", "spatial"), ("d.png", "steerable")]
    benchmark = read(point_bench(*(entry(*name) for name in names)))
    assert [one.id for one in benchmark.part(2)] == ["0", "3"]
    assert [one.id for one in benchmark.part(3)] == ["0", "1", "3"]
    assert benchmark.part(None) == benchmark.part(9) == benchmark.questions
