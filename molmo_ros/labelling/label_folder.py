# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The output folder: who may write to it, where results wait, and how they come into place."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from molmo_ros.labelling.label_inputs import LOCK
from molmo_ros.labelling.label_table import FILE, write_rows
from molmo_ros.labelling.label_task import LabelTask
from molmo_ros.labelling.label_unit import LabelUnit, UnitOutcome
from molmo_ros.labelling.labelling_error import DiskFullError, LabellingError

MANIFEST = "manifest.json"
TABLE = FILE
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a disk, or a share of it, that is full."""


@contextmanager
def disk_errors(out: Path) -> Iterator[None]:
    """Errors of the disk as sentences.

    Raises:
        DiskFullError: No room is left.
        LabellingError: It cannot be written for another reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL or any(os.strerror(one) in str(error) for one in FULL):
            raise DiskFullError(full_disk(out)) from error
        raise LabellingError(
            f"{error.filename or out} cannot be written: {error.strerror or error}"
        ) from error


def full_disk(out: Path) -> str:
    """What is to be done where no room is left."""
    return (
        f"no room is left on the disk of {out}: what is done is kept; make room and run the same command again, which "
        "goes on with what is missing"
    )


class LabelFolder:
    """One set of labels in an output folder that only this run writes to. A context manager.

    A unit's files are written into `staging`, and moved to their place as a whole: a unit is done when its folder is
    there. The lock is the kernel's, so it ends with the process that holds it, however that ends.

    Args:
        out: The output folder; made where it is missing.
        task: What is asked.

    Attributes:
        root: Of this set of labels.
        staging: Of this run.

    Raises:
        LabellingError: Another run holds it, or it cannot be written.
    """

    def __init__(self, out: Path, task: LabelTask) -> None:
        self.out, self.task = out.resolve(), task
        self.root = self.out / task.name
        self.units, self.failed = self.root / "episodes", self.root / "failed"
        self._stagings = self.root / ".staging"
        self.staging = self._stagings / uuid.uuid4().hex[:12]
        self._lock: IO[str] | None = None

    def __enter__(self) -> LabelFolder:
        if self.out.exists() and not self.out.is_dir():
            raise LabellingError(f"--out {self.out} is a file; it has to be a folder")
        with disk_errors(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.out)
            shutil.rmtree(self._stagings, ignore_errors=True)  # of runs that were killed
            self.staging.mkdir(parents=True)
        return self

    def __exit__(self, *_exception: object) -> None:
        shutil.rmtree(self._stagings, ignore_errors=True)
        assert self._lock is not None
        self._lock.close()

    def place(self, unit: LabelUnit) -> Path:
        """Where a unit's files are when it is done."""
        return self.units / unit.folder

    def is_done(self, unit: LabelUnit) -> bool:
        """Whether a run has done it."""
        return (self.place(unit) / FILE).is_file()

    def accept(self, outcome: UnitOutcome) -> None:
        """Move what a worker has staged to its place.

        Raises:
            LabellingError: It cannot be moved.
        """
        assert outcome.staged is not None
        place = self.place(outcome.unit)
        with disk_errors(self.out):
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.exists():  # without its table: something else has made it
                shutil.rmtree(place)
            outcome.staged.rename(place)
            for old in (
                outcome.unit,
                LabelUnit(outcome.unit.episode, ""),
            ):  # also where no camera could be told
                shutil.rmtree(self.failed / old.folder, ignore_errors=True)

    def refuse(self, unit: LabelUnit, reason: str) -> None:
        """Keep why a unit failed, as a row of the table; the next run tries it again.

        Raises:
            LabellingError: It cannot be written.
        """
        folder = self.failed / unit.folder
        row = {
            "dataset": unit.episode.dataset,
            "episode": unit.episode.name,
            "episode_index": None if unit.episode.index < 0 else unit.episode.index,
            "camera": unit.camera,
            "status": "ERROR",
            "reason": reason,
            "model": self.task.model,
            "revision": self.task.revision,
        }
        with disk_errors(self.out):
            folder.mkdir(parents=True, exist_ok=True)
            write_rows(folder / f".{FILE}", [row], {"unit": str(unit), "error": reason})
            (folder / f".{FILE}").replace(folder / FILE)

    def read_manifest(self) -> dict[str, Any]:
        """What earlier runs kept of this set; nothing where there were none.

        Raises:
            LabellingError: It is damaged.
        """
        return read_manifest(self.root) if (self.root / MANIFEST).exists() else {}

    def write_manifest(self, content: dict[str, Any]) -> None:
        """In one step.

        Raises:
            LabellingError: It cannot be written.
        """
        path = self.root / MANIFEST
        with disk_errors(self.out):
            temporary = path.with_name(f".{MANIFEST}.part")
            temporary.write_text(
                json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8", errors="backslashreplace"
            )
            temporary.replace(path)


def read_manifest(root: Path) -> dict[str, Any]:
    """The manifest of a set of labels.

    Raises:
        LabellingError: There is none, or it is damaged.
    """
    path = root / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or not isinstance(content.get("task"), dict):
            raise ValueError("it holds no task")
    except (OSError, ValueError) as error:
        raise LabellingError(
            f"{path} cannot be read ({error}): name IN and --query again, which writes it anew"
        ) from error
    return content


def sets_in(out: Path) -> list[Path]:
    """The sets of labels in an output folder."""
    return sorted(one.parent for one in out.glob(f"*/{MANIFEST}"))


def _locked(out: Path) -> IO[str]:
    """The lock of a folder.

    Raises:
        LabellingError: Another process holds it.
    """
    file = (out / LOCK).open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read(200).strip() or "another process"
        file.close()
        raise LabellingError(
            f"{out} is being written by {holder}: wait until that has ended, or choose another --out"
        ) from error
    file.seek(0)
    file.truncate()
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    file.write(f"process {os.getpid()} of {socket.gethostname()}, since {since}")
    file.flush()
    return file
