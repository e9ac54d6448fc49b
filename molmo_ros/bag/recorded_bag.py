"""A recorded bag (rosbag2: sqlite3 or MCAP, a file or a folder), read in the order of its log times."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader

from molmo_ros.molmo.errors import MolmoError

KINDS = "a .mcap or .db3 file, or a rosbag2 folder with its metadata.yaml"


class BagError(MolmoError):
    """A bag cannot be read or written, or does not hold what is needed."""


class RecordedMessage(NamedTuple):
    """One message of a bag.

    Attributes:
        connection: Its topic and type.
        time: When it was recorded [ns].
        data: CDR.
    """

    connection: Connection
    time: int
    data: bytes


class RecordedBag:
    """A context manager.

    Args:
        path: The bag.

    Raises:
        BagError: There is none, it is damaged, or it holds no message; also while messages are read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise BagError(f"there is no bag {path}; valid: {KINDS}")
        if path.is_dir() and not (path / "metadata.yaml").exists():
            raise BagError(
                f"{path} has no metadata.yaml: it is no bag, or its recording was not closed "
                f"(`ros2 bag reindex` makes one); valid: {KINDS}"
            )
        if path.is_file() and path.suffix not in (".mcap", ".db3"):
            raise BagError(f"{path} is no bag; valid: {KINDS}")
        self._reader = self._made(path)

    def _made(self, path: Path) -> Any:
        try:
            return Reader(path)
        except Exception as error:
            raise self._unreadable(error) from error

    def __enter__(self) -> RecordedBag:
        try:
            self._reader.open()
        except (
            Exception
        ) as error:  # a damaged file may lead to any: of the format, of a decompressor, of SQLite
            raise self._unreadable(error) from error
        if not self._reader.message_count:
            self._reader.close()
            raise BagError(f"{self.path} holds no messages")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._reader.close()

    @property
    def connections(self) -> list[Connection]:
        """Every topic with its type."""
        return list(self._reader.connections)

    @property
    def start(self) -> int:
        """Log time of the first message [ns]."""
        return int(self._reader.start_time)

    @property
    def end(self) -> int:
        """Log time of the last message [ns]."""
        return int(self._reader.end_time) - 1

    def messages(
        self, connections: Collection[Connection], start: int | None = None, stop: int | None = None
    ) -> Iterator[RecordedMessage]:
        """Messages of these topics from `start` on and before `stop` [ns], in order; none without topics."""
        if not connections:
            return
        try:
            for connection, time, data in self._reader.messages(connections, start, stop):
                yield RecordedMessage(connection, time, bytes(data))
        except Exception as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> BagError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return BagError(
            f"{self.path} cannot be read, it is damaged or was not closed (`mcap recover` and `ros2 bag reindex` "
            f"repair some): {reason}"
        )
