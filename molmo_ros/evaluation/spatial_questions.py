# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""RefSpatial-Bench and Where2Place: `question.json` with pictures and masks beside it, Parquet, or RoboPoint's files.

Sources: the evaluation of Zhoues/RoboRefer, which reads both as `TASK/question.json`, the data set
BAAI/RefSpatial-Bench, whose Parquet files have the same fields, and wentaoyuan/RoboPoint for Where2Place as it was
first published (`point_questions.jsonl`, `images/`, `masks/NN.jpg`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from molmo_ros.evaluation.evaluation_error import EvaluationError, UnusableError
from molmo_ros.evaluation.file_names import FileNames
from molmo_ros.evaluation.mask import ANY, HALF, read_mask
from molmo_ros.evaluation.parquet_rows import ParquetRows, Row, coded_picture, parquet_files
from molmo_ros.evaluation.question import Benchmark, BenchmarkQuestion, Skipped, StoredPicture
from molmo_ros.evaluation.question_file import (
    as_entry,
    category_of,
    read_json_lines,
    read_json_list,
    words_of,
)
from molmo_ros.evaluation.truth import MaskTruth
from molmo_ros.evaluation.written_fractions import asks_for_fractions

REFSPATIAL, WHERE2PLACE = "refspatial", "where2place"
QUESTIONS, LINES = "question.json", "point_questions.jsonl"
PROMPT_AND_SUFFIX, PROMPT, OBJECT = "prompt+suffix", "prompt", "object"
WORDS = {
    PROMPT_AND_SUFFIX: "the benchmark's prompt and, after a blank, its suffix, which asks for tuples of fractions",
    PROMPT: "the benchmark's prompt alone",
    OBJECT: "the sentence in which the authors' program asks Molmo for the object",
}
"""What of the benchmark goes to the model."""


def read_spatial_questions(format_name: str, folder: Path, words: str = PROMPT_AND_SUFFIX) -> Benchmark:
    """The benchmark in a folder: `question.json` in it or in folders of it, one for each task, or Parquet files.

    Args:
        format_name: `REFSPATIAL` or `WHERE2PLACE`.
        folder: Where it lies.
        words: One of `WORDS`.

    Raises:
        EvaluationError: There is no such benchmark.
    """
    if format_name == WHERE2PLACE and (folder / LINES).is_file():
        if words != PROMPT_AND_SUFFIX:
            raise EvaluationError(
                f"{LINES} has one text for each question, which goes to the model as it is: leave out --words {words}"
            )
        return _lines(folder)
    files = [folder / QUESTIONS] if (folder / QUESTIONS).is_file() else sorted(folder.glob(f"*/{QUESTIONS}"))
    if files:
        return _json(format_name, folder, files, words)
    if tables := parquet_files(folder):
        return _parquet(format_name, tables, words)
    also = f", no {LINES}" if format_name == WHERE2PLACE else ""
    raise EvaluationError(f"{folder} has no {QUESTIONS}, none in a folder of it, no Parquet files{also}")


def worded(entry: dict[str, Any], words: str) -> str:
    """What goes to the model.

    Raises:
        UnusableError: The entry has not got it.
    """
    if words == OBJECT:
        return f"Locate several points of {words_of(entry, 'object')}."
    prompt = words_of(entry, "prompt")
    suffix = entry.get("suffix")
    if words == PROMPT or not isinstance(suffix, str) or not suffix.strip():
        return prompt
    return f"{prompt} {suffix}"


def _json(format_name: str, folder: Path, files: Iterable[Path], words: str) -> Benchmark:
    questions, skipped, respelled = [], [], 0
    for file in files:
        task = file.parent.name
        names = FileNames(file.parent)
        for number, value in enumerate(read_json_list(file)):
            # RefSpatial's tasks are its categories; Where2Place has categories of its own.
            category = task if format_name == REFSPATIAL else category_of(value, other=task)
            one = f"{task}/{number}"
            try:
                entry = as_entry(value)
                picture = names.find(entry.get("rgb_path"))
                mask = names.find(entry.get("mask_path"))
                stored = StoredPicture(f"{task}/{entry['mask_path']}", mask.read_bytes)
                shown = StoredPicture(f"{task}/{entry['rgb_path']}", picture.read_bytes)
                questions.append(_question(one, category, shown, worded(entry, words), stored, ANY))
            except UnusableError as error:
                skipped.append(Skipped(one, category, str(error)))
        respelled += names.respelled
    notes = [f"{respelled} files were found under another spelling of their names"] if respelled else []
    return Benchmark(format_name, tuple(questions), tuple(skipped), tuple(notes))


def _parquet(format_name: str, files: list[Path], words: str) -> Benchmark:
    rows = ParquetRows(files)
    if missing := {"image", "mask", "prompt"} - rows.columns:
        raise EvaluationError(
            f"{files[0]} has no column {' and none '.join(sorted(missing))}: another benchmark's?"
        )
    questions, skipped = [], []
    for row in rows:
        task = files[row.file].name.split("-")[0]
        category = task if format_name == REFSPATIAL else category_of(row.values, other=task)
        one = f"{task}/{row.name}"
        try:
            text = worded(row.values, words)
        except UnusableError as error:
            skipped.append(Skipped(one, category, str(error)))
            continue
        picture, mask = (
            StoredPicture(f"{name} of {row.name}", partial(_bytes, row, name)) for name in ("image", "mask")
        )
        questions.append(_question(one, category, picture, text, mask, ANY))
    return Benchmark(format_name, tuple(questions), tuple(skipped))


def _bytes(row: Row, column: str) -> bytes:
    found = coded_picture(row, column)
    if isinstance(found, str):
        raise UnusableError(
            f"the {column} of {row.name} is the path {found!r:.200}; the Parquet file has to hold it"
        )
    return found


def _lines(folder: Path) -> Benchmark:
    """Where2Place as RoboPoint published it."""
    names = FileNames(folder)
    questions, skipped = [], []
    for number, value in enumerate(read_json_lines(folder / LINES)):
        category = category_of(value, other=folder.name)
        try:
            entry = as_entry(value)
            given = entry.get("question_id")
            mask_number = given if isinstance(given, int) and not isinstance(given, bool) else number
            picture = names.find(f"images/{entry.get('image')}")
            mask = names.find(f"masks/{mask_number:02d}.jpg")
            shown = StoredPicture(f"images/{picture.name}", picture.read_bytes)
            stored = StoredPicture(f"masks/{mask.name}", mask.read_bytes)
            # A JPEG's mask is soft at its border; half white is inside.
            questions.append(_question(str(number), category, shown, words_of(entry, "text"), stored, HALF))
        except UnusableError as error:
            skipped.append(Skipped(str(number), category, str(error)))
    return Benchmark(WHERE2PLACE, tuple(questions), tuple(skipped))


def _question(
    number: str, category: str, picture: StoredPicture, words: str, mask: StoredPicture, above: int
) -> BenchmarkQuestion:
    def truth(size: tuple[int, int]) -> tuple[MaskTruth, str]:
        pixels, note = read_mask(mask, above, size)
        return MaskTruth(pixels), note

    return BenchmarkQuestion(number, category, picture, words, truth, fractions=asks_for_fractions(words))
