# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a model is asked, and what comes of questions that cannot be."""

import numpy as np
import pytest

from molmo_ros.evaluation.evaluation_run import TOGETHER, ask
from molmo_ros.evaluation.format_table import read_benchmark
from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.errors import GenerationError, ImageError, PromptError
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.status import Status


class Listening:
    """Stands for a model: notes what it is asked, and says what it is told to, by the words."""

    def __init__(self, **said):
        self.asked, self.said = [], said

    def answers(self, image, queries):
        self.asked.append((image.shape, [(query.text, query.options) for query in queries]))
        found = [
            self.said.get(query.text, Answer(Status.FOUND, query.text, (Point(1, 2),))) for query in queries
        ]
        for one in found:
            if isinstance(one, ImageError):
                raise one
        return found


def run(model, questions, known=(), options=None):
    records, skipped, done = {}, [], []
    for progress in ask(model, questions, set(known).__contains__, options):
        records |= {record.id: record for record in progress.records}
        skipped += progress.skipped
        done.append((progress.done, progress.total))
    return records, skipped, done


@pytest.fixture
def benchmark(point_bench, entry):
    """Pictures a and b, of which a is asked about three times, not in a row."""
    return read_benchmark(
        "point-bench",
        point_bench(
            entry("a.png", words="a 1"),
            entry("b.png", words="b 1"),
            entry("a.png", words=" a 2\n"),
            entry("a.png", words="a 3"),
        ),
    )


def test_questions_about_one_picture_are_asked_together(benchmark):
    model, options = Listening(), GenerateOptions(7)
    records, skipped, done = run(model, benchmark.questions, options=options)
    shape = (40, 60, 3)
    assert model.asked == [
        (shape, [("a 1", options), (" a 2\n", options), ("a 3", options)]),
        (shape, [("b 1", options)]),
    ]
    assert {number: record.text for number, record in records.items()} == {
        "0": "a 1",
        "1": "b 1",
        "2": " a 2\n",
        "3": "a 3",
    }
    assert not skipped and done == [(3, 4), (4, 4)]


def test_no_more_than_some_at_once(point_bench, entry):
    entries = [entry("a.png", words=str(number)) for number in range(TOGETHER + 3)]
    model = Listening()
    run(model, read_benchmark("point-bench", point_bench(*entries)).questions)
    assert [len(queries) for _, queries in model.asked] == [TOGETHER, 3]


def test_what_is_known_is_not_asked_again(benchmark):
    model = Listening()
    records, _, done = run(model, benchmark.questions, known=["0", "3"])
    assert [[text for text, _ in queries] for _, queries in model.asked] == [["b 1"], [" a 2\n"]]
    assert set(records) == {"1", "2"} and done == [(3, 4), (4, 4)]
    assert run(Listening(), benchmark.questions, known=["0", "1", "2", "3"]) == ({}, [], [])


def test_a_picture_that_cannot_be_read_costs_its_own_questions(benchmark, tmp_path):
    (tmp_path / "bench" / "selected_images" / "spatial" / "a.png").write_bytes(b"no picture")
    model = Listening()
    records, skipped, done = run(model, benchmark.questions)
    assert set(records) == {"1"} and len(model.asked) == 1
    assert [one.id for one in skipped] == ["0", "2", "3"] and done[-1] == (4, 4)
    assert all("selected_images/spatial/a.png is not a picture" in one.reason for one in skipped)


def test_a_mask_that_cannot_be_read_is_found_before_the_model_is_asked(benchmark, tmp_path):
    (tmp_path / "bench" / "selected_masks" / "spatial" / "b.png").write_bytes(b"")
    model = Listening()
    records, skipped, _ = run(model, benchmark.questions)
    assert set(records) == {"0", "2", "3"} and [one.id for one in skipped] == ["1"]
    assert len(model.asked) == 1


def test_what_a_model_raises_about_a_question_is_its_answer(benchmark):
    model = Listening(**{"a 1": PromptError("too long"), "a 3": GenerationError("no numbers")})
    records, skipped, _ = run(model, benchmark.questions)
    assert (records["0"].status, records["0"].error) == (Status.ERROR, "too long")
    assert (records["3"].status, records["3"].error) == (Status.ERROR, "no numbers")
    assert records["2"].status is Status.FOUND and not skipped


def test_a_picture_that_the_model_refuses(benchmark):
    records, _, _ = run(Listening(**{"b 1": ImageError("too flat")}), benchmark.questions)
    assert (records["1"].status, records["1"].error) == (Status.ERROR, "too flat")
    assert records["0"].status is Status.FOUND


def test_a_broken_device_ends_it(benchmark):
    with pytest.raises(RuntimeError, match="out of memory"):
        run(Listening(**{"a 1": RuntimeError("out of memory")}), benchmark.questions)


def test_a_picture_is_upright_and_its_mask_too(point_bench, entry, tmp_path):
    """EXIF's 6: the stored rows are columns of the upright picture."""
    import cv2

    folder = point_bench(entry("a.jpg"))
    stored = np.zeros((40, 60, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", stored)[1].tobytes()
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    app1 = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (folder / "selected_images" / "spatial" / "a.jpg").write_bytes(jpeg[:2] + app1 + jpeg[2:])
    model = Listening()
    records, _, _ = run(model, read_benchmark("point-bench", folder).questions)
    assert model.asked[0][0] == (60, 40, 3) and records["0"].size == (60, 40)
