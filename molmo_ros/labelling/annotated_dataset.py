# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A LeRobot data set with the labels in its own columns, beside the one that was labelled."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from molmo_ros.labelling.label_table import read_unit
from molmo_ros.labelling.labelling_error import LabellingError
from molmo_ros.labelling.language_events import COLUMN, FEATURE, VQA, Event, episode_events
from molmo_ros.labelling.lerobot_dataset import INFO, LeRobotDataset

JSON_TYPE = pa.string()
EVENT = pa.struct(
    [
        pa.field("role", pa.string(), nullable=False),
        pa.field("content", pa.string()),
        pa.field("style", pa.string()),
        pa.field("camera", pa.string()),
        pa.field("tool_calls", pa.list_(JSON_TYPE)),
    ]
)
EVENTS = pa.list_(EVENT)
STATE = b"molmo_ros"
"""Key of what a file was made from, in its metadata."""


class AnnotatedDataset:
    """The new data set. Videos and pictures are those of the old one, as hard links where the disk allows it.

    Args:
        source: The old one.
        root: Where the new one is to be.
        files_of: Returns the files with the labels of an episode, by its number: one for each camera.

    Attributes:
        in_the_way: Events that were left out, as their frame has a `vqa` of that camera already.
    """

    def __init__(self, source: LeRobotDataset, root: Path, files_of: Callable[[int], list[Path]]) -> None:
        self._source, self.root, self._files_of = source, root, files_of
        self.in_the_way = 0

    def write(self) -> int:
        """Writes all that is not there yet; each file appears as a whole, info.json last.

        Returns:
            How many files of rows were written anew.

        Raises:
            LabellingError: A file of the old data set is damaged.
            OSError: The new one cannot be written.
        """
        source = self._source.root
        count = 0
        for path in sorted(source.rglob("*")):
            name = path.relative_to(source)
            if path.is_dir() or any(part.startswith(".") for part in name.parts):
                continue
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name.parts[0] == "data" and name.suffix == ".parquet":
                count += self._write_data(path, target)
            elif name.as_posix() != INFO:
                _link(path, target)
        info = json.loads((source / INFO).read_text(encoding="utf-8"))
        info["features"][COLUMN] = FEATURE
        text = json.dumps(info, indent=4, ensure_ascii=False)
        _put(self.root / INFO, lambda part: part.write_text(text, encoding="utf-8"))
        return count

    def _write_data(self, path: Path, target: Path) -> int:
        """One file of rows, with the column of events, a row group for each episode; whether it was not there."""
        try:
            episodes = pq.read_table(path, columns=["episode_index"]).column(0).to_numpy()
            files = {int(one): self._files_of(int(one)) for one in np.unique(episodes)}
            state = _state([path, *(file for its in files.values() for file in its)])
            if target.exists() and (pq.read_schema(target).metadata or {}).get(STATE) == state:
                return 0
            table = pq.ParquetFile(path).read()
            frames = table.column("frame_index").to_numpy()
        except (OSError, KeyError, pa.ArrowException) as error:
            raise LabellingError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error
        new = {episode: _events(its) for episode, its in files.items()}
        before = table.column(COLUMN).to_pylist() if COLUMN in table.column_names else [None] * len(frames)
        events = [
            self._joined(old or [], new[int(episode)].get(int(frame), []))
            for old, episode, frame in zip(before, episodes, frames, strict=True)
        ]
        if COLUMN in table.column_names:
            table = table.drop_columns([COLUMN])
        table = table.append_column(COLUMN, pa.array(events, EVENTS))
        kept = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"huggingface"}
        table = table.replace_schema_metadata({**kept, STATE: state})  # the other names every column but ours
        starts = np.flatnonzero(np.diff(episodes, prepend=-1))

        def write(part: Path) -> None:
            with pq.ParquetWriter(part, table.schema, compression="snappy") as writer:
                for start, stop in zip(starts, [*starts[1:], len(episodes)], strict=True):
                    writer.write_table(table.slice(start, stop - start))

        _put(target, write)
        return 1

    def _joined(self, old: list[Event], new: list[Event]) -> list[Event]:
        """Events of a row: those that were there, and ours; no second `vqa` of a camera."""
        taken = {one["camera"] for one in old if one["style"] == VQA}
        fitting = [one for one in new if one["style"] != VQA or one["camera"] not in taken]
        self.in_the_way += len(new) - len(fitting)
        kept = [
            {
                **one,
                "tool_calls": None
                if one["tool_calls"] is None
                else [_as_text(call) for call in one["tool_calls"]],
            }
            for one in old
        ]
        return kept + fitting


def _as_text(call: Any) -> str:
    return call if isinstance(call, str) else json.dumps(call, ensure_ascii=False)


def _events(files: list[Path]) -> dict[int, list[Event]]:
    """All events of an episode, by frame."""
    events: dict[int, list[Event]] = {}
    for file in files:
        table, about = read_unit(file)
        for frame, its in episode_events(table.to_pylist(), about.get("size", [])).items():
            events.setdefault(frame, []).extend(its)
    return events


def _state(files: list[Path]) -> bytes:
    """What tells whether the same labels of the same rows were written before."""
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(stats).encode("utf-8", "surrogateescape")).hexdigest().encode()


def _link(path: Path, target: Path) -> None:
    """The same file in another place: a hard link, or a copy on another disk; what is there already stays."""
    if target.exists() and target.stat().st_size == path.stat().st_size:
        return
    target.unlink(missing_ok=True)
    try:
        os.link(path.resolve(), target)
    except OSError:
        _put(target, lambda part: shutil.copyfile(path, part))


def _put(target: Path, write: Any) -> None:
    part = target.with_name(f".{target.name}.part")
    try:
        write(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
