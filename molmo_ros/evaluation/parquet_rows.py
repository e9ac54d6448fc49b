# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Rows of Parquet files, of which large columns are read a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from molmo_ros.evaluation.evaluation_error import EvaluationError, MissingEvalLibraryError, UnusableError

KEPT = 4
"""Columns of one row group that are kept once they were read; a format has three at most: picture, masks, points."""


def parquet_files(folder: Path) -> list[Path]:
    """Those of a folder, or of `data/` in it, as the hub has them."""
    return sorted(folder.glob("*.parquet")) or sorted((folder / "data").glob("*.parquet"))


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        table: Has the large columns.
        file: Number of its file.
        group: Number of its row group in the file.
        index: Number of it in the row group.
        values: Of the small columns.
        name: For people.
    """

    table: ParquetRows
    file: int
    group: int
    index: int
    values: dict[str, Any]
    name: str

    def large(self, column: str) -> Any:
        """The pyarrow scalar of a large column.

        Raises:
            UnusableError: It cannot be read, or is null.
        """
        value = self.table.column(self.file, self.group, column)[self.index]
        if not value.is_valid:
            raise UnusableError(f"{self.name} has no {column}")
        return value


class ParquetRows:
    """The rows of several files with the same columns, in order."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Opens them.

        Raises:
            EvaluationError: pyarrow is not installed, or a file is not Parquet.
        """
        try:
            import pyarrow
            from pyarrow import parquet
        except ModuleNotFoundError as error:
            raise MissingEvalLibraryError("pyarrow", "reading Parquet files") from error
        # ArrowInvalid is a ValueError, and what the system refuses an OSError.
        self._broken = (pyarrow.ArrowException, OSError, ValueError)
        self._paths, self._files = list(paths), []
        for path in self._paths:
            try:
                self._files.append(parquet.ParquetFile(path))
            except self._broken as error:
                raise EvaluationError(
                    f"{path} is no Parquet file that can be read: {str(error):.300}"
                ) from error
        self._kept: dict[tuple[int, int, str], Any] = {}

    @property
    def columns(self) -> set[str]:
        """Those that every file has."""
        return (
            set.intersection(*(set(file.schema_arrow.names) for file in self._files))
            if self._files
            else set()
        )

    def __iter__(self) -> Iterator[Row]:
        """Every row, with the columns that are no lists, pictures or bytes."""
        for number, (path, file) in enumerate(zip(self._paths, self._files, strict=True)):
            small = [field.name for field in file.schema_arrow if _is_small(field)]
            count = 0
            for group in range(file.num_row_groups):
                try:
                    rows = file.read_row_group(group, columns=small).to_pylist()
                except self._broken as error:
                    raise EvaluationError(f"{path} cannot be read: {str(error):.300}") from error
                rows = rows or [{}] * file.metadata.row_group(group).num_rows
                for index, values in enumerate(rows):
                    yield Row(self, number, group, index, values, f"row {count + index} of {path.name}")
                count += len(rows)

    def column(self, file: int, group: int, name: str) -> Any:
        """A column of one row group.

        Raises:
            UnusableError: It cannot be read.
        """
        key = (file, group, name)
        if key not in self._kept:
            while len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            try:
                self._kept[key] = self._files[file].read_row_group(group, columns=[name]).column(0)
            except self._broken as error:
                raise UnusableError(
                    f"column {name} of {self._paths[file].name} cannot be read: {str(error):.300}"
                ) from error
        return self._kept[key]


def coded_picture(row: Row, column: str) -> bytes | str:
    """What a column holds of a picture: its bytes, or the path of its file.

    Raises:
        UnusableError: Neither.
    """
    value = row.large(column).as_py()
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, (bytes, str)) and value:
        return value
    raise UnusableError(f"{row.name} has neither bytes nor a path of its {column}")


def nested_masks(row: Row, column: str) -> np.ndarray:
    """bool [n, h, w] of lists of lists of lists.

    Raises:
        UnusableError: They are no masks of one size.
    """
    masks = row.large(column).values  # lists of rows
    lines = masks.flatten()
    samples = lines.flatten()
    count = len(masks)
    if not count:
        return np.zeros((0, 0, 0), bool)
    height, rest = divmod(len(lines), count)
    width, ragged = divmod(len(samples), len(lines) or 1)
    lengths = {len(mask) if mask.is_valid else -1 for mask in masks}
    widths = set(np.diff(lines.offsets.to_numpy()).tolist()) if len(lines) else {0}
    if rest or ragged or not width or len(lengths) > 1 or len(widths) > 1 or samples.null_count:
        raise UnusableError(f"the {column} of {row.name} are not of one size")
    return np.asarray(samples.to_numpy(zero_copy_only=False)).astype(bool).reshape(count, height, width)


def _is_small(field: Any) -> bool:
    from pyarrow import types

    nested, binary = (
        types.is_nested(field.type),
        types.is_binary(field.type) or types.is_large_binary(field.type),
    )
    return not nested and not binary
