# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""RoboSpatial-Home: a polygon to point into, or yes and no.

Source: chanhee-luke/RoboSpatial-Eval, whose download program writes `annotations.json` and `images/`, and the data set
chanhee-luke/RoboSpatial-Home, whose Parquet files have the same fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from molmo_ros.evaluation.evaluation_error import EvaluationError, UnusableError
from molmo_ros.evaluation.file_names import FileNames
from molmo_ros.evaluation.parquet_rows import ParquetRows, Row, coded_picture, parquet_files
from molmo_ros.evaluation.question import Benchmark, BenchmarkQuestion, Skipped, StoredPicture
from molmo_ros.evaluation.question_file import as_entry, category_of, read_json_list, words_of
from molmo_ros.evaluation.truth import PolygonTruth, Truth, WordTruth
from molmo_ros.molmo.answer import Asked

NAME = "robospatial"
ANNOTATIONS = "annotations.json"
PICTURES = ("img", "image")
_PAIR = re.compile(r"[(\[]\s*(-?[0-9.]+(?:[eE]-?[0-9]+)?)\s*,\s*(-?[0-9.]+(?:[eE]-?[0-9]+)?)\s*[)\]]")


def read_robospatial(folder: Path) -> Benchmark:
    """The benchmark in a folder.

    Raises:
        EvaluationError: There is no such benchmark.
    """
    if (folder / ANNOTATIONS).is_file():
        return _annotations(folder)
    if tables := parquet_files(folder):
        return _parquet(folder, tables)
    raise EvaluationError(f"{folder} has no {ANNOTATIONS} and no Parquet files")


def _annotations(folder: Path) -> Benchmark:
    names = FileNames(folder)
    questions, skipped = [], []
    for number, value in enumerate(read_json_list(folder / ANNOTATIONS)):
        category = category_of(value)
        try:
            entry = as_entry(value)
            name = next((entry[key] for key in PICTURES if entry.get(key)), None)
            path = names.find(name)
            picture = StoredPicture(str(path.relative_to(folder)), path.read_bytes)
            questions.append(_question(str(number), category, picture, entry))
        except UnusableError as error:
            skipped.append(Skipped(str(number), category, str(error)))
    notes = (
        [f"{names.respelled} files were found under another spelling of their names"]
        if names.respelled
        else []
    )
    return Benchmark(NAME, tuple(questions), tuple(skipped), tuple(notes))


def _parquet(folder: Path, files: list[Path]) -> Benchmark:
    rows, names = ParquetRows(files), FileNames(folder)
    column = next((name for name in PICTURES if name in rows.columns), None)
    if column is None or {"question", "answer"} - rows.columns:
        raise EvaluationError(
            f"{files[0]} has not the columns img, question and answer: another benchmark's?"
        )
    questions, skipped = [], []
    for row in rows:
        category = category_of(row.values, other=files[row.file].name.split("-")[0])
        try:
            picture = StoredPicture(row.name, partial(_bytes, row, column, names))
            questions.append(_question(row.name, category, picture, row.values))
        except UnusableError as error:
            skipped.append(Skipped(row.name, category, str(error)))
    return Benchmark(NAME, tuple(questions), tuple(skipped))


def _bytes(row: Row, column: str, names: FileNames) -> bytes:
    found = coded_picture(row, column)
    return found if isinstance(found, bytes) else names.find(found).read_bytes()


def _question(number: str, category: str, picture: StoredPicture, entry: dict[str, Any]) -> BenchmarkQuestion:
    words, answer = words_of(entry, "question"), entry.get("answer")
    if isinstance(answer, str) and answer.strip().lower() in ("yes", "no"):
        right = WordTruth(answer.strip().lower())
        return BenchmarkQuestion(
            number, category, picture, words, lambda _size: (right, ""), asked=Asked.WORDS
        )
    return BenchmarkQuestion(
        number, category, picture, words, _polygon(answer), asked=Asked.POINTS, fractions=True
    )


def _polygon(answer: object) -> Callable[[tuple[int, int]], tuple[Truth, str]]:
    """The polygon of an answer, such as "[(0.1, 0.2), (0.3, 0.2), (0.2, 0.4)]"; a list of lists is one, too.

    Raises:
        UnusableError: It is none.
    """
    try:
        pairs = [(float(x), float(y)) for x, y in _PAIR.findall(str(answer))]
    except ValueError:
        pairs = []
    corners = np.array(pairs).reshape(-1, 2)
    if len(corners) < 3:
        raise UnusableError(
            f"its answer is {answer!r:.80}; it is yes, no, or the three corners or more of a polygon"
        )
    if corners.min() < 0 or corners.max() > 1:
        raise UnusableError(
            f"its polygon leaves the picture: {answer!r:.80}; corners are fractions, from 0 to 1"
        )
    if cv2.contourArea(corners.astype(np.float32)) <= 0:
        raise UnusableError(f"its polygon has no area: {answer!r:.80}")
    return lambda size: (PolygonTruth(corners, size), "")
