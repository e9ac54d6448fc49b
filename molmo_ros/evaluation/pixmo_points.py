# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""PixMo-Points evaluation: Parquet with a label, points in percent and a mask for each; pictures or their hashes.

Source: the data set allenai/pixmo-points-eval, and its reader in allenai/molmo2. The data set has the pictures'
addresses and SHA-256 only; whoever evaluates brings the pictures. Its labels name things and are no requests, so the
model is asked for them in the words that it was trained on.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import numpy as np

from molmo_ros.evaluation.evaluation_error import EvaluationError, UnusableError
from molmo_ros.evaluation.file_names import FileNames
from molmo_ros.evaluation.mask import resized
from molmo_ros.evaluation.parquet_rows import ParquetRows, Row, coded_picture, nested_masks, parquet_files
from molmo_ros.evaluation.question import Benchmark, BenchmarkQuestion, Skipped, StoredPicture
from molmo_ros.evaluation.question_file import words_of
from molmo_ros.evaluation.truth import ObjectsTruth

NAME = "pixmo-points"
CATEGORY = "points"
NEEDED = {"label", "points", "masks"}


def read_pixmo_points(folder: Path) -> Benchmark:
    """The benchmark in a folder.

    Raises:
        EvaluationError: There is no such benchmark.
    """
    files = parquet_files(folder)
    if not files:
        raise EvaluationError(f"{folder} has no Parquet files, and none in {folder / 'data'}")
    rows, by_hash, names = ParquetRows(files), PicturesByHash(folder), FileNames(folder)
    columns = rows.columns
    if missing := NEEDED - columns:
        raise EvaluationError(
            f"{files[0]} has no column {' and none '.join(sorted(missing))}: another benchmark's?"
        )
    if not columns & {"image", "image_sha256"}:
        raise EvaluationError(f"{files[0]} has neither a column image nor image_sha256")
    questions, skipped = [], []
    for row in rows:
        try:
            picture = StoredPicture(
                f"the picture of {row.name}", partial(_picture, row, columns, by_hash, names)
            )
            words = words_of(row.values, "label")
            truth = partial(_truth, row)
            questions.append(BenchmarkQuestion(row.name, CATEGORY, picture, words, truth, is_label=True))
        except UnusableError as error:
            skipped.append(Skipped(row.name, CATEGORY, str(error)))
    return Benchmark(NAME, tuple(questions), tuple(skipped))


class PicturesByHash:
    """Pictures below a folder, which are called after their SHA-256 or whose content has it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._named: dict[str, Path] | None = None
        self._hashed: dict[str, Path] = {}

    def read(self, sha256: str, url: object) -> bytes:
        """The picture with a hash, from wherever it is.

        Args:
            sha256: Of its content.
            url: From where it was published, whose hash Ai2's own downloads are called after.

        Raises:
            UnusableError: There is none, or what is called so is another.
        """
        named = self._by_name()
        from_url = hashlib.sha256(str(url).encode()).hexdigest()
        path = named.get(sha256) or named.get(from_url)
        if path is not None:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != sha256:
                raise UnusableError(
                    f"{path.name} is another picture than the benchmark's: its SHA-256 is not {sha256}"
                )
            return data
        if path := self._by_content().get(sha256):
            return path.read_bytes()
        raise UnusableError(
            f"no picture in {self._folder} has the SHA-256 {sha256}; it was published at {url!s:.200}"
        )

    def _by_name(self) -> dict[str, Path]:
        if self._named is None:
            paths = (path for path in sorted(self._folder.rglob("*")) if path.suffix != ".parquet")
            self._named = {path.stem.lower(): path for path in paths if path.is_file()}
        return self._named

    def _by_content(self) -> dict[str, Path]:
        """Reads every file once."""
        if not self._hashed:
            for path in self._by_name().values():
                try:
                    self._hashed[hashlib.sha256(path.read_bytes()).hexdigest()] = path
                except OSError:
                    continue
        return self._hashed


def _picture(row: Row, columns: set[str], by_hash: PicturesByHash, names: FileNames) -> bytes:
    if "image" in columns:
        if "image" in row.values:  # a path, as text
            return names.find(row.values["image"]).read_bytes()
        found = coded_picture(row, "image")
        return found if isinstance(found, bytes) else names.find(found).read_bytes()
    sha256 = row.values.get("image_sha256")
    if not isinstance(sha256, str) or len(sha256) != 64:
        raise UnusableError(f"{row.name} has the image_sha256 {sha256!r:.80}; it has 64 digits")
    return by_hash.read(sha256.lower(), row.values.get("image_url"))


def _truth(row: Row, size: tuple[int, int]) -> tuple[ObjectsTruth, str]:
    """Masks and points of a row, in pixels of a picture of that height and width."""
    points = _points(row) / 100 * size[::-1]
    if not len(points):  # nothing is there, whatever the masks are
        return ObjectsTruth(np.zeros((0, *size), bool), points), ""
    masks = nested_masks(row, "masks")
    if len(masks) != len(points):
        raise UnusableError(
            f"{row.name} has {len(points)} points and {len(masks)} masks: they contradict each other"
        )
    if not masks.any(axis=(1, 2)).all():
        raise UnusableError(f"{row.name} has an empty mask: no point on it would be right")
    scaled = [resized(mask, size, f"the mask of {row.name}") for mask in masks]
    return ObjectsTruth(np.stack([mask for mask, _ in scaled]), points), scaled[0][1]


def _points(row: Row) -> np.ndarray:
    """float [n, 2], x and y in percent."""
    found = row.large("points").as_py()
    try:
        if isinstance(found, dict):  # a struct of lists, as some writers have it
            pairs = list(zip(found["x"], found["y"], strict=True))
        else:
            pairs = [(point["x"], point["y"]) for point in found]
        points = np.array(pairs, float).reshape(-1, 2)
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableError(f"the points of {row.name} are no pairs of x and y: {found!r:.80}") from error
    if not np.isfinite(points).all() or (points < 0).any() or (points > 100).any():
        raise UnusableError(f"a point of {row.name} is outside of 0 to 100 percent: {found!r:.80}")
    return points
