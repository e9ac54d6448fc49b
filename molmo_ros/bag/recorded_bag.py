# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A recorded bag (rosbag2: sqlite3 or MCAP, a file or a folder), read in the order of its log times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinitionFormat

from molmo_ros.bag.bag_files import Storage, bag_files, open_file
from molmo_ros.bag.recorded_message import CDR, BagError, RecordedMessage, in_order

__all__ = ["BagError", "RecordedBag", "RecordedMessage"]

LAST = 1 << 63
"""After every log time: they are 63 bits long in both formats."""


class RecordedBag:
    """A context manager.

    What can be read of a damaged bag is read; `losses` says what is missing. Topics that hold no ROS 2 messages are
    left out.

    Args:
        path: The bag.

    Attributes:
        connections: Every topic with its type, over all files of the bag.
        start, end: Log time of the first and the last message [ns].
        notes: What is unusual about the bag, and harmless.

    Raises:
        BagError: There is none, nothing of it can be read, or it holds no message.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._paths, self.notes, self._missing = bag_files(path)
        self._storages: list[Storage] = []
        self._stack = ExitStack()
        self.connections: list[Connection] = []
        self.start = self.end = 0

    def __enter__(self) -> RecordedBag:
        try:
            folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="molmo_ros-bag-")))
            self._open_files(folder)
            self._merge()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    @property
    def losses(self) -> list[str]:
        """What could not be read, each in one line; more may be found while messages are read."""
        return [*self._missing, *(self._said(one, text) for one in self._storages for text in one.losses)]

    def messages(
        self, connections: Collection[Connection], start: int | None = None, stop: int | None = None
    ) -> Iterator[RecordedMessage]:
        """Messages of these topics from `start` on and before `stop` [ns], in order; none without topics.

        Raises:
            BagError: The disk fails.
        """
        begin, end = max(0, start or 0), LAST if stop is None else min(stop, LAST)
        wanted = {_key(one): one for one in connections}

        def opened(storage: Storage) -> Iterator[RecordedMessage]:
            theirs = [one for one in storage.connections if _key(one) in wanted]
            for message in storage.messages(theirs, begin, end) if theirs else ():
                yield message._replace(connection=wanted[_key(message.connection)])

        return in_order((one.start, lambda one=one: opened(one)) for one in self._storages)  # type: ignore[misc]

    def _open_files(self, folder: Path) -> None:
        """Open every file that can be.

        Raises:
            BagError: None can be.
        """
        refused: list[BagError] = []
        for path in self._paths:
            try:
                storage = open_file(path, folder)
            except BagError as error:
                refused.append(error)
            else:
                self._stack.callback(storage.close)
                self._storages.append(storage)
        if not self._storages:
            raise refused[0]
        self._missing += [str(error) for error in refused]
        self.notes += [self._said(one, text) for one in self._storages for text in one.notes]

    def _merge(self) -> None:
        """Join the topics of all files, without those that are not ROS 2's.

        Raises:
            BagError: There is none, or no message.
        """
        merged: dict[tuple[str, str, str], Connection] = {}
        foreign: Counter[str] = Counter()
        for one in (one for storage in self._storages for one in storage.connections):
            if (encoding := _key(one)[2]) != CDR:
                foreign[f"{one.topic} ({encoding or 'no encoding'})"] += one.msgcount
                continue
            before = merged.get(_key(one), one._replace(msgcount=0, id=len(merged) + 1))
            defined = before if before.msgdef.format is not MessageDefinitionFormat.NONE else one
            merged[_key(one)] = before._replace(
                msgcount=before.msgcount + one.msgcount, msgdef=defined.msgdef
            )
        self.connections = list(merged.values())
        if foreign:
            self.notes.append(f"topics that hold no ROS 2 messages are skipped: {_some(sorted(foreign))}")
        if not sum(one.msgcount for one in self.connections):
            raise BagError(self._nothing(foreign))
        filled = [one for one in self._storages if any(topic.msgcount for topic in one.connections)]
        self.start, self.end = min(one.start for one in filled), max(one.end for one in filled)

    def _nothing(self, foreign: Counter[str]) -> str:
        """Why there is nothing to be asked about."""
        if any("(ros1)" in topic for topic in foreign):
            return (
                f"{self.path} holds ROS 1 messages in MCAP ({_some(sorted(foreign))}); convert the ROS 1 bag instead: "
                "rosbags-convert --src BAG.bag --dst FOLDER"
            )
        if sum(foreign.values()):
            return f"{self.path} holds no ROS 2 messages; its topics are {_some(sorted(foreign))}"
        if losses := self.losses:
            return f"{self.path} cannot be read: {'; '.join(losses)}"
        return f"{self.path} holds no messages"

    def _said(self, storage: Storage, text: str) -> str:
        return f"{storage.name.name}: {text}" if self.path.is_dir() else text


def _key(one: Connection) -> tuple[str, str, str]:
    """Topic, type and encoding: what is one topic over all files."""
    assert isinstance(one.ext, ConnectionExtRosbag2)
    return one.topic, one.msgtype, one.ext.serialization_format


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:6]) + (f" and {len(texts) - 6} more" if len(texts) > 6 else "")
