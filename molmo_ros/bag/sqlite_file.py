# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A rosbag2 sqlite3 file, read as far as it is whole, and never written to."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from molmo_ros.bag.decompression import DecompressionError, message_content
from molmo_ros.bag.recorded_message import BagError, RecordedMessage, connection

MAGIC = b"SQLite format 3\0"
BESIDE = ("-wal", "-journal")
"""What a recorder that was killed leaves beside a database: changes that are not in it yet, or are half in it."""
LARGEST_MESSAGE = 1 << 30
SKIPS = 64
"""Doublings of the rows that are passed over where some cannot be read: more than there can be."""


class SqliteFile:
    """Opened at once; `close` it. Of a damaged database the rows are read that can be.

    Args:
        path: The file.
        name: What it is called in messages, where it was unpacked from another.

    Attributes:
        connections: Every topic with the number of its messages, of whatever encoding.
        start, end: First and last log time [ns]; 0 where there is no message.
        notes: What is unusual about the file, and harmless.
        lost: What was known to be lost when it was opened.

    Raises:
        BagError: It is no database of a rosbag2, or cannot be read at all.
    """

    def __init__(self, path: Path, *, name: Path | None = None) -> None:
        self.path, self.name = path, name or path
        self.notes: list[str] = []
        self.lost: list[str] = []
        self._unread: dict[int, str] = {}
        self._copy: TemporaryDirectory[str] | None = None
        try:
            self._database = self._opened()
            self._describe()
        except (sqlite3.Error, OSError, DecompressionError, OverflowError) as error:
            self.close()
            raise BagError(f"{self.name} cannot be read, it is damaged or no recording: {error}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if hasattr(self, "_database"):
            self._database.close()
        if self._copy is not None:
            self._copy.cleanup()

    @property
    def losses(self) -> list[str]:
        """What could not be read, each in one line; more may be found while messages are read."""
        if not self._unread:
            return list(self.lost)
        reasons = "; ".join(sorted(set(self._unread.values()))[:3])
        return [*self.lost, f"{len(self._unread)} messages are damaged and left out: {reasons}"]

    def messages(self, connections: Collection[Any], start: int, stop: int) -> Iterator[RecordedMessage]:
        """Messages of these connections from `start` on and before `stop` [ns], in the order of their log times."""
        wanted = {one.id: one for one in connections}
        for time, row, topic in self._rows:
            if start <= time < stop and topic in wanted:
                try:
                    (data,) = self._database.execute(
                        "SELECT data FROM messages WHERE rowid = ?", (row,)
                    ).fetchone()
                    content = message_content(bytes(data), LARGEST_MESSAGE)
                except (sqlite3.Error, TypeError, DecompressionError) as error:
                    self._unread[row] = str(error)
                else:
                    yield RecordedMessage(wanted[topic], time, content)

    def _opened(self) -> sqlite3.Connection:
        path, options = self.path, "mode=ro&immutable=1"
        beside = [one for end in BESIDE if (one := Path(f"{path}{end}")).is_file() and one.stat().st_size]
        whole, rest = self._cut()
        if beside or rest:
            path, options = self._copied(beside, whole), "mode=rw"
        # An immutable database is neither locked nor changed, and its folder may be read-only.
        database = sqlite3.connect(f"file:{quote(str(path.absolute()))}?{options}", uri=True)
        # Read, as far as they are there, the pages of a file that is shorter than it says.
        database.execute("PRAGMA writable_schema = ON")
        database.execute("PRAGMA trusted_schema = OFF")
        database.text_factory = lambda text: text.decode("utf-8", "replace")
        return database

    def _copied(self, beside: Collection[Path], size: int) -> Path:
        """A copy of the database, which SQLite may write to: it takes in what lies beside it.

        Half a page at the end, as where the file was cut, stays behind: SQLite would fill it up with zeros.
        """
        self._copy = TemporaryDirectory(prefix="molmo_ros-bag-")
        path = Path(self._copy.name) / "copy.db3"
        shutil.copyfile(self.path, path)
        if not beside:
            os.truncate(path, size)
        for source in beside:
            shutil.copyfile(source, f"{path}{source.name[len(self.path.name) :]}")
            self.notes.append(f"its recording was not closed; {source.name} beside it is read, too")
        return path

    def _cut(self) -> tuple[int, int]:
        """Say so where the file is shorter than its head says; bytes of its whole pages, and behind them."""
        with self.path.open("rb") as file:
            head = file.read(32)
        page = int.from_bytes(head[16:18], "big")
        page = 65536 if page == 1 else page
        there, expected = self.path.stat().st_size, page * int.from_bytes(head[28:32], "big")
        if not 0 < there < expected:
            return there, 0
        self.lost.append(f"it was cut: {there} of {expected} bytes are there ({there / expected:.0%})")
        return there // page * page, there % page

    def _describe(self) -> None:
        """Who sent what, when."""
        tables = {
            name for (name,) in self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        if missing := {"topics", "messages"} - tables:
            raise BagError(
                f"{self.name} is a database, but of no rosbag2: it has no table {' and '.join(sorted(missing))}"
            )
        columns = {row[1] for row in self._database.execute("PRAGMA table_info(topics)")}
        qos = "offered_qos_profiles" if "offered_qos_profiles" in columns else "''"
        definitions = self._definitions() if "message_definitions" in tables else {}
        topics = self._database.execute(
            f"SELECT id, name, type, serialization_format, {qos} FROM topics"
        ).fetchall()
        self._rows = self._read_rows()
        counts: dict[int, int] = {}
        for _, _, topic in self._rows:
            counts[topic] = counts.get(topic, 0) + 1
        self.connections = [
            connection(
                number, name, kind, encoding, definition=definitions.get(kind, ("", "")), qos=profiles or ""
            )._replace(msgcount=counts.get(number, 0))
            for number, name, kind, encoding, profiles in topics
            if isinstance(number, int) and all(isinstance(one, str) for one in (name, kind, encoding))
        ]
        self.start, self.end = (self._rows[0][0], self._rows[-1][0]) if self._rows else (0, 0)

    def _definitions(self) -> dict[str, tuple[str, str]]:
        """Format and text of each type's definition."""
        try:
            rows = self._database.execute(
                "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            ).fetchall()
        except sqlite3.Error as error:
            self.lost.append(f"the definitions of its messages cannot be read: {error}")
            return {}
        return {
            kind: (form, text)
            for kind, form, text in rows
            if all(isinstance(one, str) for one in (kind, form, text))
        }

    def _read_rows(self) -> list[tuple[int, int, int]]:
        """(log time [ns], row, topic) of all messages that can be reached, by time."""
        found: list[tuple[int, int, int]] = []
        at, step, skipped = -(1 << 63), 1, 0
        for _ in range(SKIPS * SKIPS):
            try:
                for row, topic, time in self._database.execute(
                    "SELECT rowid, topic_id, timestamp FROM messages WHERE rowid > ? ORDER BY rowid", (at,)
                ):
                    at, step = row, 1
                    if isinstance(topic, int) and isinstance(time, int):
                        found.append((time, row, topic))
                    else:
                        self._unread[row] = "its row holds something else"
                break
            except sqlite3.Error as error:
                reason, skipped = str(error), skipped + 1
                at, step = max(at, 0) + step, step * 2
                if step > 1 << 62:
                    break
        if skipped:
            self.lost.append(f"{len(found)} messages can be reached, not all: {reason}")
        return sorted(found)
