# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The answers of an evaluation, a line of JSON each, appended as they come, so that it goes on where it ended.

The first line says what was asked of which model. A line is whole or not there: what was cut off at the end is dropped
when the evaluation goes on.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from molmo_ros.evaluation.answer_record import AnswerRecord
from molmo_ros.evaluation.evaluation_error import EvaluationError, NotKeptError

ENDING = ".answers.jsonl"
VERSION = 1


def answers_path(out: Path) -> Path:
    """Where the answers of an evaluation lie whose report is `out`."""
    return out.with_name(out.name + ENDING)


class AnswersFile:
    """The file, locked for as long as it is open. A context manager.

    Attributes:
        answers: By the question's id.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], resume: bool) -> None:
        """Opens it.

        Args:
            path: Of the file.
            identity: What is asked of which model, as JSON has it: by this name the answers are told from others.
            resume: Whether to go on with the answers that are there.

        Raises:
            NotKeptError: It cannot be written.
            EvaluationError: It cannot be opened, another evaluation is at work on it, it is there and must not be, it
                is damaged, or its answers are to something else.
        """
        self.path, self.answers = path, dict[str, AnswerRecord]()
        self._identity = json.loads(json.dumps(identity))
        self._file = self._open()
        try:
            self._lock()
            begun = os.fstat(self._file.fileno()).st_size
            if begun and not resume:
                raise EvaluationError(
                    f"{path} holds answers already: --resume goes on with them, another --json OUT begins anew"
                )
            if not (begun and self._read()):
                self._write({"version": VERSION, "asked": self._identity})
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> AnswersFile:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.close()

    def add(self, records: list[AnswerRecord]) -> None:
        """Appends answers; they are on the disk when this returns.

        Raises:
            NotKeptError: They cannot be written, as on a full disk.
        """
        self._write(*(record.plain() for record in records))
        self.answers.update({record.id: record for record in records})

    def _open(self) -> BinaryIO:
        try:
            file = open(self.path, "a+b", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise EvaluationError(f"{self.path} cannot be written: {error.strerror or error}") from error
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise EvaluationError(f"{self.path} is no file of a disk; answers are kept in one")
        return file

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EvaluationError(
                f"another evaluation is writing {self.path}: wait until it is done, or give another --json OUT"
            ) from error
        except OSError:  # a file system without locks, such as some of the network's
            pass

    def _read(self) -> bool:
        """The answers that are there; False where not even the first line is whole, and the file is now empty.

        Raises:
            EvaluationError: See `__init__`.
        """
        self._file.seek(0)
        content = self._file.readall() or b""  # type: ignore[attr-defined]
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            self._file.truncate(whole)
        lines = content[:whole].splitlines()
        if not lines:
            return False
        head = self._parsed(lines[0], 1)
        if (
            not isinstance(head, dict)
            or head.get("version") != VERSION
            or not isinstance(head.get("asked"), dict)
        ):
            raise EvaluationError(
                f"{self.path} does not begin as answers of `molmo-ros eval` do; give another --json OUT"
            )
        self._check(head["asked"])
        for number, line in enumerate(lines[1:], 2):
            try:
                record = AnswerRecord.read(self._parsed(line, number))
            except (ValueError, KeyError, TypeError) as error:
                if isinstance(error, EvaluationError):
                    raise
                raise EvaluationError(
                    f"line {number} of {self.path} is no answer ({error!r:.80}); delete it"
                ) from error
            self.answers[record.id] = record
        return True

    def _parsed(self, line: bytes, number: int) -> Any:
        try:
            return json.loads(line)
        except (ValueError, RecursionError) as error:
            raise EvaluationError(
                f"line {number} of {self.path} is damaged ({error!s:.80}); delete it"
            ) from error

    def _check(self, asked: Mapping[str, Any]) -> None:
        """Refuses answers to something else."""
        different = [
            f"{key} was {_short(asked.get(key))} and is {_short(self._identity.get(key))}"
            for key in sorted({*asked, *self._identity})
            if asked.get(key) != self._identity.get(key)
        ]
        if different:
            raise EvaluationError(
                f"{self.path} has answers to something else: {'; '.join(different)}. Ask as before, or give another "
                "--json OUT"
            )

    def _write(self, *values: Any) -> None:
        lines = "".join(json.dumps(value) + "\n" for value in values).encode()
        begun = os.fstat(self._file.fileno()).st_size
        try:
            written = 0
            while written < len(lines):
                written += self._file.write(lines[written:]) or 0
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(begun)  # no half line
            raise NotKeptError(
                f"{self.path} cannot be written: {error.strerror or error}; {len(self.answers)} answers are kept. Make "
                "room and go on with --resume"
            ) from error


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:80]} … {text[-30:]}"


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Leaves JSON in a file, in one step: the old one stays until the new one is whole.

    Raises:
        NotKeptError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(json.dumps(report, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise NotKeptError(
            f"{path} cannot be written: {error.strerror or error}; the answers are kept. Make room and go on with "
            "--resume"
        ) from error


def check_out(out: Path, resume: bool) -> None:
    """Refuses a report's path where none can be written, or one is that must stay, before any work.

    Raises:
        EvaluationError: So it is.
    """
    if not out.parent.is_dir():
        raise EvaluationError(f"there is no folder {out.parent} to write {out.name} to")
    if out.exists() and not out.is_file():
        raise EvaluationError(f"{out} is no file of a disk; the report is written to one")
    if out.exists() and not resume:
        raise EvaluationError(
            f"{out} is there already: --resume goes on with it, another --json OUT begins anew"
        )
    if out.exists() and not answers_path(out).exists():
        raise EvaluationError(
            f"{out} is there, and its answers {answers_path(out).name} are not: remove it, or give another --json OUT"
        )
