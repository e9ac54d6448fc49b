# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Point-Bench of PointArena: `data.json`, and pictures and masks in a folder for each category.

Source: the data set PointArena/pointarena-data, the evaluator of pointarena/pointarena, and Ai2's reader in
allenai/molmo2. Its words are a whole request each, which goes to the model as it is.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any

from molmo_ros.evaluation.evaluation_error import EvaluationError, UnusableError
from molmo_ros.evaluation.file_names import FileNames
from molmo_ros.evaluation.mask import HALF, read_mask
from molmo_ros.evaluation.question import Benchmark, BenchmarkQuestion, Skipped, StoredPicture
from molmo_ros.evaluation.question_file import as_entry, category_of, read_json_list, words_of
from molmo_ros.evaluation.truth import MaskTruth
from molmo_ros.molmo.answer import Asked

NAME = "point-bench"
QUESTIONS = "data.json"
COUNTING = "counting"
PICTURES, MASKS = ("selected_images", "images"), ("selected_masks", "masks")


def read_point_bench(folder: Path) -> Benchmark:
    """The benchmark in a folder.

    Raises:
        EvaluationError: There is no such benchmark.
    """
    entries = read_json_list(folder / QUESTIONS)
    pictures, masks = _folder(folder, PICTURES), _folder(folder, MASKS)
    names = FileNames(folder)
    questions, skipped, without = [], [], 0
    contradicting = _contradicting(entries)
    for number, value in enumerate(entries):
        category = category_of(value)
        if isinstance(value, dict) and "mask_filename" not in value:
            without += 1  # not part of it: its authors' program and Ai2's leave these out
            continue
        try:
            if number in contradicting:
                raise UnusableError(contradicting[number])
            questions.append(_question(str(number), category, as_entry(value), names, pictures, masks))
        except UnusableError as error:
            skipped.append(Skipped(str(number), category, str(error)))
    notes = []
    if without:
        notes.append(
            f"{without} entries of {QUESTIONS} have no mask_filename and are not part of the benchmark"
        )
    if names.respelled:
        notes.append(f"{names.respelled} files were found under another spelling of their names")
    return Benchmark(NAME, tuple(questions), tuple(skipped), tuple(notes))


def _folder(folder: Path, names: tuple[str, ...]) -> str:
    for name in names:
        if (folder / name).is_dir():
            return name
    packed = [f"{name}.zip" for name in names if (folder / f"{name}.zip").is_file()]
    cure = f"; unpack {packed[0]} there (unzip keeps its names)" if packed else ""
    raise EvaluationError(f"{folder} has no folder {names[0]}{cure}")


def _question(
    number: str, category: str, entry: dict[str, Any], names: FileNames, pictures: str, masks: str
) -> BenchmarkQuestion:
    counting = category == COUNTING
    words = words_of(entry, "user_input")
    count = _count(entry.get("count")) if counting else None
    picture = _file(names, pictures, category, entry.get("image_filename"))
    mask = _file(names, masks, category, entry.get("mask_filename"))
    return BenchmarkQuestion(
        number,
        category,
        picture,
        words,
        partial(_truth, mask, count),
        # A count may be answered with more points than anything else.
        asked=Asked.COUNT if counting else Asked.POINTS,
    )


def _file(names: FileNames, folder: str, category: str, name: object) -> StoredPicture:
    """In the category's folder; else beside those."""
    try:
        path = names.find(f"{folder}/{category}/{name}" if isinstance(name, str) else name)
    except UnusableError:
        try:
            path = names.find(f"{folder}/{name}")
        except UnusableError:
            raise UnusableError(f"there is no {name!r:.200} in {folder}/{category}") from None
    return StoredPicture(f"{folder}/{category}/{path.name}", path.read_bytes)


def _truth(mask: StoredPicture, count: int | None, size: tuple[int, int]) -> tuple[MaskTruth, str]:
    pixels, note = read_mask(mask, HALF, size)
    if count is not None and count > pixels.sum():
        raise UnusableError(f"its count is {count}, and {mask.name} has {pixels.sum()} pixels to point at")
    return MaskTruth(pixels, count), note


def _count(value: object) -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise UnusableError(f"its count is {value!r:.80}; a counting question has a whole number, at least 1")
    return int(value)


def _contradicting(entries: list[Any]) -> dict[int, str]:
    """Numbers of counting questions that ask the same of the same picture and count otherwise, and the reason."""
    asked = defaultdict(list)
    for number, entry in enumerate(entries):
        if isinstance(entry, dict) and entry.get("category") == COUNTING:
            asked[str(entry.get("image_filename")), str(entry.get("user_input"))].append(number)
    found = {}
    for numbers in asked.values():
        counts = {str(entries[number].get("count")) for number in numbers}
        if len(counts) > 1:
            reason = (
                f"the same question has the counts {' and '.join(sorted(counts))}: they contradict each other"
            )
            found.update(dict.fromkeys(numbers, reason))
    return found
