# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The table of labels: a row for each point of each frame, and for each answer without points."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from molmo_ros.labelling.labelling_error import LabellingError

WORDS = pa.dictionary(pa.int32(), pa.string())
"""Text that repeats."""
COLUMNS: dict[str, pa.DataType] = {
    "dataset": WORDS,
    "episode": WORDS,
    "episode_index": pa.int64(),
    "frame": pa.int64(),
    "time": pa.float64(),
    "stamp_ns": pa.int64(),
    "camera": WORDS,
    "query": WORDS,
    "kind": WORDS,
    "label": WORDS,
    "key_frame": pa.bool_(),
    "track": pa.int64(),
    "x": pa.float64(),
    "y": pa.float64(),
    "score": pa.float64(),
    "calibrated": pa.bool_(),
    "status": WORDS,
    "reason": WORDS,
    "text": pa.string(),
    "count": pa.int64(),
    "not_found_probability": pa.float64(),
    "position_x": pa.float64(),
    "position_y": pa.float64(),
    "position_z": pa.float64(),
    "frame_id": WORDS,
    "model": WORDS,
    "revision": WORDS,
    "engine": WORDS,
    "prompt": WORDS,
}
"""See docs/label.md."""
SCHEMA = pa.schema(list(COLUMNS.items()))
FILE = "labels.parquet"
ABOUT = b"molmo_ros"
"""Key of what is known of a unit, in its file's metadata."""
GROUP = 1 << 18
"""Rows of a row group of the whole table."""

Row = dict[str, Any]


def write_rows(path: Path, rows: Iterable[Row], about: Mapping[str, Any]) -> None:
    """A unit's file.

    Args:
        path: The file.
        rows: Values by column; columns that are missing are null.
        about: What `read_unit` gives back.

    Raises:
        OSError: It cannot be written.
    """
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    kept = {ABOUT: json.dumps(dict(about), ensure_ascii=False).encode("utf-8", "backslashreplace")}
    pq.write_table(table.replace_schema_metadata(kept), path, compression="zstd")


def read_unit(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """A unit's rows, and what is known of it.

    Raises:
        LabellingError: It is damaged.
    """
    try:
        table = pq.ParquetFile(path).read()
        return table.cast(SCHEMA).replace_schema_metadata(None), json.loads(
            (table.schema.metadata or {})[ABOUT]
        )
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise LabellingError(
            f"{path} is damaged ({' '.join(str(error).split())[:200]}): remove its folder, and run again"
        ) from error


class TableWriter:
    """The whole table, which appears under its name when it is complete. A context manager.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self._temporary = path.with_name(f".{path.name}.part")
        self._waiting: list[pa.Table] = []
        self._count = 0

    def __enter__(self) -> TableWriter:
        self._writer = pq.ParquetWriter(self._temporary, SCHEMA, compression="zstd")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._writer.close()
            if kind is not None:
                self._temporary.unlink(missing_ok=True)
        if kind is None:
            self._temporary.replace(self.path)

    def add(self, table: pa.Table) -> None:
        """The rows of a unit."""
        self._waiting.append(table)
        self._count += table.num_rows
        self.rows += table.num_rows
        if self._count >= GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting).unify_dictionaries())
        self._waiting, self._count = [], 0


def unit_files(folder: Path) -> Iterator[Path]:
    """The files of all units below a folder: data set, episode, camera; in order."""
    for dataset in _folders(folder):
        for episode in _folders(dataset):
            for camera in _folders(episode):
                if (path := camera / FILE).is_file():
                    yield path


def _folders(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []
