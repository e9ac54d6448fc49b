# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""RefSpatial-Bench and Where2Place in each of the layouts that they are published in."""

import json

import cv2
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from molmo_ros.evaluation.evaluation_error import EvaluationError, UnusableError
from molmo_ros.evaluation.format_table import read_benchmark
from molmo_ros.molmo.answer import Asked

SIZE = (40, 60)
SUFFIX = "Answer with tuples. The coordinates should be between 0 and 1, as parts of the picture."


@pytest.fixture
def tasks(tmp_path, save, mask_of):
    """Writes `TASK/question.json` of entries, with pictures and masks."""

    def make(**entries):
        for task, listed in entries.items():
            for entry in listed:
                save(tmp_path / task / entry["rgb_path"], np.full((*SIZE, 3), 90, np.uint8))
                save(tmp_path / task / entry["mask_path"], mask_of())
            save(tmp_path / task / "question.json", listed)
        return tmp_path

    return make


def entry(number=0, **changes):
    return {
        "id": number,
        "object": "the red cup",
        "prompt": "Please point out the red cup.",
        "suffix": SUFFIX,
        "rgb_path": f"image/{number}.png",
        "mask_path": f"mask/{number}.png",
        "category": "indoor",
        "step": 2,
    } | changes


def test_the_words_go_to_the_model_as_they_are(tasks):
    folder = tasks(Location=[entry()])
    for words, sent, fractions in (
        (None, f"Please point out the red cup. {SUFFIX}", True),
        ("prompt+suffix", f"Please point out the red cup. {SUFFIX}", True),
        ("prompt", "Please point out the red cup.", False),
        ("object", "Locate several points of the red cup.", False),
    ):
        (question,) = read_benchmark("refspatial", folder, words).questions
        assert (question.query().text, question.asked, question.fractions) == (sent, Asked.POINTS, fractions)


def test_tasks_are_categories_of_refspatial(tasks):
    folder = tasks(Placement=[entry(), entry(1)], Location=[entry()])
    questions = read_benchmark("refspatial", folder).questions
    assert [(one.id, one.category) for one in questions] == [
        ("Location/0", "Location"),
        ("Placement/0", "Placement"),
        ("Placement/1", "Placement"),
    ]
    assert len(read_benchmark("refspatial", folder / "Placement").questions) == 2
    (one,) = read_benchmark("where2place", folder / "Location").questions
    assert one.category == "indoor"


def test_anything_but_black_is_inside(tasks):
    folder = tasks(Location=[entry()])
    dark = np.zeros(SIZE, np.uint8)
    dark[3, 4] = 1
    cv2.imwrite(str(folder / "Location" / "mask" / "0.png"), dark)
    truth, _ = read_benchmark("refspatial", folder).questions[0].truth(SIZE)
    assert np.argwhere(truth.mask).tolist() == [[3, 4]]


def test_parquet(tmp_path, mask_of):
    picture, mask = (
        cv2.imencode(".png", pixels)[1].tobytes() for pixels in (np.full((*SIZE, 3), 90, np.uint8), mask_of())
    )
    row = {key: value for key, value in entry().items() if not key.endswith("_path")}
    row |= {"image": {"bytes": picture, "path": "0.png"}, "mask": {"bytes": mask, "path": None}}
    (tmp_path / "data").mkdir()
    for task in ("location", "unseen"):
        table = pa.Table.from_pylist([row, row | {"image": {"bytes": None, "path": "0.png"}}])
        parquet.write_table(table, tmp_path / "data" / f"{task}-00000-of-00001.parquet")
    questions = read_benchmark("refspatial", tmp_path).questions
    assert [one.category for one in questions] == ["location", "location", "unseen", "unseen"]
    assert questions[0].words == f"Please point out the red cup. {SUFFIX}"
    assert questions[2].picture.rgb().shape == (*SIZE, 3)
    assert questions[2].truth(SIZE)[0].mask.sum() == 100
    with pytest.raises(UnusableError, match="is the path '0.png'; the Parquet file has to hold it"):
        questions[3].picture.rgb()


@pytest.fixture
def where2place(tmp_path, save, mask_of):
    """Writes Where2Place as RoboPoint published it."""
    lines = []
    for number, category in enumerate(("seen", "unseen")):
        save(tmp_path / "images" / f"{number:02d}.jpg", np.full((*SIZE, 3), 90, np.uint8))
        mask = cv2.imencode(".jpg", mask_of(columns=slice(10 * number, 10 * number + 10)))[1].tobytes()
        save(tmp_path / "masks" / f"{number:02d}.jpg", mask)
        line = {
            "question_id": number,
            "image": f"{number:02d}.jpg",
            "text": f"Where? {SUFFIX}",
            "category": category,
        }
        lines.append(json.dumps(line))
    (tmp_path / "point_questions.jsonl").write_text("\n".join(lines) + "\n\n")
    return tmp_path


def test_where2place_as_it_was_first_published(where2place):
    one, two = read_benchmark("where2place", where2place).questions
    assert (one.words, one.category, two.category, one.fractions) == (
        f"Where? {SUFFIX}",
        "seen",
        "unseen",
        True,
    )
    assert two.truth(SIZE)[0].mask[10:20, 10:20].all() and not two.truth(SIZE)[0].mask[:, 22:].any()
    with pytest.raises(EvaluationError, match="leave out --words object"):
        read_benchmark("where2place", where2place, "object")


def test_a_line_that_is_no_json(where2place):
    with open(where2place / "point_questions.jsonl", "a") as file:
        file.write("{half\n")
    with pytest.raises(EvaluationError, match="line 4 of .*point_questions.jsonl is not JSON"):
        read_benchmark("where2place", where2place)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"rgb_path": "image/7.png"}, "there is no image/7.png in "),
        ({"mask_path": "mask/7.png"}, "there is no mask/7.png in "),
        ({"rgb_path": "../../a.png"}, "'../../a.png' leads out of "),
        ({"mask_path": None}, "None is no file's name"),
        ({"prompt": ""}, "its prompt is ''; a text is needed"),
    ],
)
def test_entries_with_something_else_in_them(tasks, change, reason):
    folder = tasks(Location=[entry(), entry(1)])
    (folder / "Location" / "question.json").write_text(json.dumps([entry() | change, entry(1)]))
    benchmark = read_benchmark("refspatial", folder)
    assert [one.id for one in benchmark.questions] == ["Location/1"]
    assert benchmark.skipped[0].reason.startswith(reason)


def test_folders_that_are_none(tmp_path):
    with pytest.raises(EvaluationError, match=r"no question.json, none in a folder of it, no Parquet files$"):
        read_benchmark("refspatial", tmp_path)
    with pytest.raises(EvaluationError, match=r"no Parquet files, no point_questions.jsonl"):
        read_benchmark("where2place", tmp_path)
    parquet.write_table(pa.table({"label": ["cups"]}), tmp_path / "a.parquet")
    with pytest.raises(EvaluationError, match="has no column image and none mask and none prompt"):
        read_benchmark("refspatial", tmp_path)


def test_no_other_format_has_a_choice_of_words(point_bench, entry):
    with pytest.raises(
        EvaluationError, match="--words goes with refspatial and where2place, .* not with point-bench"
    ):
        read_benchmark("point-bench", point_bench(entry()), "object")
