# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An MCAP file, read as far as it is whole. The records are those of https://mcap.dev/spec.

Libraries read sound files only: one that was not closed, a damaged chunk, a channel that is not ROS 2's or a writer
without indexes end them. Here a damaged part is left out and said, and the rest is read.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from rosbags.interfaces import Connection

from molmo_ros.bag.decompression import DecompressionError, decompressed
from molmo_ros.bag.recorded_message import BagError, RecordedMessage, connection, in_order

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX = range(1, 9)
RECORD = struct.Struct("<BQ")
"""Before each record: what it is, and its length."""
MESSAGE_HEAD = struct.Struct("<HIQQ")
"""Channel, sequence, log time [ns], publish time [ns]."""
END = 37
"""Bytes of the footer and the magic behind it."""
LARGEST_CHUNK = 1 << 30
"""A chunk that claims to unpack into more is damaged: writers close one after about a megabyte."""
LAST_TIME = 1 << 63
"""Times that are later are none [ns]."""
LARGEST_DESCRIPTION = 1 << 24
"""Bytes of a schema or a channel."""


class _Damage(ValueError):
    """A record does not hold what it should."""


class _Fields:
    """The fields of a record, one after the other."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def take(self, count: int) -> bytes:
        self._at += count
        if self._at > len(self._content):
            raise _Damage("a record ends early")
        return self._content[self._at - count : self._at]

    def rest(self) -> bytes:
        return self._content[self._at :]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def text(self) -> str:
        return self.take(self.number(4)).decode("utf-8", "replace")

    def texts(self) -> dict[str, str]:
        inner, found = _Fields(self.take(self.number(4))), {}
        while inner.rest():
            found[inner.text()] = inner.text()
        return found


@dataclass
class _Piece:
    """A chunk, or a message outside of any.

    Attributes:
        kind: CHUNK or MESSAGE.
        offset: Where its content begins in the file, and how long it is.
        start, end: Its first and last log time [ns].
        counts: How many messages of which channel are in it, by its indexes.
        indexed: First and last log time by its indexes [ns]; None where it has none.
        cut: The file ends within it.
    """

    kind: int
    offset: int
    length: int
    start: int
    end: int
    counts: Counter[int] = field(default_factory=Counter)
    indexed: tuple[int, int] | None = None
    cut: bool = False

    @property
    def is_doubtful(self) -> bool:
        """Whether its head and its indexes do not agree on its times, or it has times that there are not."""
        head = self.start, self.end
        return max(head) >= LAST_TIME or (self.indexed is not None and self.indexed != head)


class _Channel(NamedTuple):
    schema: int
    topic: str
    encoding: str
    qos: str


class McapFile:
    """Opened at once; `close` it.

    Args:
        path: The file.
        name: What it is called in messages, where it was unpacked from another.

    Attributes:
        connections: Every channel with the number of its messages, of whatever encoding.
        start, end: First and last log time [ns]; 0 where there is no message.
        notes: What is unusual about the file, and harmless.
        lost: What was known to be lost when it was opened.

    Raises:
        BagError: It is no MCAP file, or cannot be read at all.
    """

    def __init__(self, path: Path, *, name: Path | None = None) -> None:
        self.path, self.name = path, name or path
        self.notes: list[str] = []
        self.lost: list[str] = []
        self._damaged: dict[int, str] = {}
        self._pieces: list[_Piece] = []
        self._schemas: dict[int, tuple[str, tuple[str, str]]] = {}
        self._channels: dict[int, _Channel] = {}
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise self._unreadable(error) from error
        try:
            self._size = self._file.seek(0, 2)
            if self._read(0, len(MAGIC)) != MAGIC:
                raise BagError(f"{self.name} is no MCAP file")
            self._lay_out()
            self._describe()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()

    @property
    def losses(self) -> list[str]:
        """What could not be read, each in one line; more may be found while messages are read."""
        if not self._damaged:
            return list(self.lost)
        chunks = sum(piece.kind == CHUNK for piece in self._pieces)
        reasons = "; ".join(sorted(set(self._damaged.values()))[:3])
        return [*self.lost, f"{len(self._damaged)} of {chunks} chunks are damaged and left out: {reasons}"]

    def messages(
        self, connections: Collection[Connection], start: int, stop: int
    ) -> Iterator[RecordedMessage]:
        """Messages of these connections from `start` on and before `stop` [ns], in the order of their log times."""
        wanted = {one.id: one for one in connections}
        return in_order(
            (piece.start, lambda piece=piece: self._messages(piece, wanted, start, stop))  # type: ignore[misc]
            for piece in self._pieces
            if piece.start < stop
            and piece.end >= start
            and (not piece.counts or wanted.keys() & piece.counts)
        )

    def _lay_out(self) -> None:
        """Find the pieces: one record after the other, and where that leads nowhere, by the index at the end."""
        at = self._walk(len(MAGIC))
        if at is None:
            return
        summary = self._summary()
        if summary is not None and summary > at:
            self._walk(summary, after=at)
            self.lost.append(f"damaged at byte {at} of {self._size}; the rest was found by the file's index")
        elif at == self._size:
            self.notes.append("it was not closed (it has no index); all of it is read")
        elif self._pieces and self._pieces[-1].cut:
            self.lost.append(f"it ends within a chunk, at byte {self._size}: it was not closed, or was cut")
        else:
            self.lost.append(
                f"it was not closed, or is damaged: read up to byte {at} of {self._size} ({at / self._size:.0%})"
            )

    def _walk(self, at: int, after: int | None = None) -> int | None:
        """Take note of records.

        Args:
            at: Where the first begins.
            after: Chunks that begin there or later are known by their chunk indexes only.

        Returns:
            Where it leads on no longer; None where it came to the footer.
        """
        while True:
            head = self._read(at, RECORD.size)
            if len(head) < RECORD.size:
                return at
            kind, length = RECORD.unpack(head)
            content, left = at + RECORD.size, self._size - at - RECORD.size
            if kind == FOOTER and length == END - RECORD.size - len(MAGIC):
                return None
            if kind in (0, FOOTER) or length > left:
                if kind == CHUNK and self._summary() is None:
                    self._note(kind, content, left, cut=True)
                return at
            self._note(kind, content, length, after=after)
            at = content + length

    def _note(
        self, kind: int, offset: int, length: int, *, cut: bool = False, after: int | None = None
    ) -> None:
        """Take note of a record."""
        try:
            if kind in (SCHEMA, CHANNEL):
                if length > LARGEST_DESCRIPTION:
                    raise _Damage(f"a description of {length} bytes")
                self._know(kind, self._read(offset, length))
            elif kind == CHUNK:
                start, end = struct.unpack("<QQ", _Fields(self._read(offset, min(length, 16))).take(16))
                self._pieces.append(_Piece(CHUNK, offset, length, start, max(start, end), cut=cut))
            elif kind == MESSAGE:
                head = _Fields(self._read(offset, min(length, MESSAGE_HEAD.size))).take(MESSAGE_HEAD.size)
                channel, _, time, _ = MESSAGE_HEAD.unpack(head)
                self._pieces.append(_Piece(MESSAGE, offset, length, time, time, Counter([channel])))
            elif kind == MESSAGE_INDEX and self._pieces:
                piece = self._pieces[-1]
                channel, size = struct.unpack("<HI", _Fields(self._read(offset, 6)).take(6))
                piece.counts[channel] += size // 16
                entries = self._read(offset + 6, min(size, length) // 16 * 16)
                times = [time for time, _ in struct.iter_unpack("<QQ", entries[: len(entries) // 16 * 16])]
                first, last = piece.indexed or (LAST_TIME, 0)
                if times:
                    piece.indexed = min(first, *times), max(last, *times)
            elif kind == CHUNK_INDEX and after is not None:
                fields = _Fields(self._read(offset, length))
                start, end, chunk, size = (fields.number(8) for _ in range(4))
                if chunk >= after and chunk + size <= self._size:
                    content = chunk + RECORD.size
                    self._pieces.append(_Piece(CHUNK, content, size - RECORD.size, start, max(start, end)))
        except _Damage as error:
            self.lost.append(f"a record at byte {offset} is damaged: {error}")

    def _know(self, kind: int, content: bytes) -> None:
        """Take note of a schema or a channel. The first of an id holds: writers repeat them in the summary."""
        fields = _Fields(content)
        number = fields.number(2)
        if kind == SCHEMA:
            name, form, text = (fields.text() for _ in range(3))
            self._schemas.setdefault(number, (name, (form, text)))
        else:
            schema, topic, encoding = fields.number(2), fields.text(), fields.text()
            qos = fields.texts().get("offered_qos_profiles", "")
            self._channels.setdefault(number, _Channel(schema, topic, encoding, qos))

    def _summary(self) -> int | None:
        """Where the summary begins; None where the file has none, or no end."""
        end = self._read(max(0, self._size - END), END)
        if len(end) < END or not end.endswith(MAGIC) or end[0] != FOOTER:
            return None
        start = int.from_bytes(end[RECORD.size : RECORD.size + 8], "little")
        return start if 0 < start < self._size else None

    def _describe(self) -> None:
        """Who sent how much from when to when; chunks that nothing tells about are unpacked for it."""
        counts: Counter[int] = Counter()
        for piece in self._pieces:
            undescribed = piece.counts.keys() - self._channels.keys()
            if piece.kind == CHUNK and (not piece.counts or undescribed or piece.is_doubtful):
                self._look_into(piece)
            counts += piece.counts
        if unknown := sum(count for number, count in counts.items() if number not in self._channels):
            self.lost.append(f"{unknown} messages are of channels that it does not describe")
        self.connections = []
        for number, channel in sorted(self._channels.items()):
            kind, definition = self._schemas.get(channel.schema, ("", ("", "")))
            described = connection(
                number, channel.topic, kind, channel.encoding, definition=definition, qos=channel.qos
            )
            self.connections.append(described._replace(msgcount=counts[number]))
        whole = [piece for piece in self._pieces if piece.counts]
        self.start = min((piece.start for piece in whole), default=0)
        self.end = max((piece.end for piece in whole), default=0)

    def _look_into(self, piece: _Piece) -> None:
        """Take note of the channels in a chunk, and of its messages where no index did."""
        counts: Counter[int] = Counter()
        times: list[int] = []
        for kind, content in self._records(piece):
            try:
                if kind in (SCHEMA, CHANNEL):
                    self._know(kind, content)
                elif kind == MESSAGE:
                    channel, _, time, _ = MESSAGE_HEAD.unpack_from(content)
                    counts[channel] += 1
                    times.append(time)
            except (_Damage, struct.error) as error:
                self._damaged.setdefault(piece.offset, str(error))
        if times:  # the chunk's own head may say anything
            piece.start, piece.end = min(times), max(times)
        if not piece.counts:
            piece.counts = counts

    def _messages(
        self, piece: _Piece, wanted: dict[int, Connection], start: int, stop: int
    ) -> Iterator[RecordedMessage]:
        """Messages of a piece in the order of their log times."""
        if piece.kind == CHUNK:
            records = [content for kind, content in self._records(piece) if kind == MESSAGE]
        else:
            records = [self._read(piece.offset, piece.length)]
        found: list[RecordedMessage] = []
        here: Counter[int] = Counter()
        for content in records:
            if len(content) < MESSAGE_HEAD.size:
                self._damaged.setdefault(piece.offset, "a message ends early")
                continue
            channel, _, time, _ = MESSAGE_HEAD.unpack_from(content)
            here[channel] += 1
            if channel not in self._channels or time >= LAST_TIME:
                self._damaged.setdefault(piece.offset, "a message has a channel or a time that there is not")
            elif channel in wanted and start <= time < stop:
                found.append(RecordedMessage(wanted[channel], time, content[MESSAGE_HEAD.size :]))
        if missing := sum((piece.counts - here).values()):
            self._damaged.setdefault(piece.offset, f"{missing} messages that its index names are not in it")
        return iter(sorted(found, key=lambda message: message.time))

    def _records(self, piece: _Piece) -> Iterator[tuple[int, bytes]]:
        """(what it is, content) of the records in a chunk; those before the damage where it is damaged."""
        try:
            content = self._unpacked(piece)
        except (_Damage, DecompressionError) as error:
            self._damaged.setdefault(piece.offset, str(error))
            return
        at = 0
        while at < len(content):
            kind, length = RECORD.unpack_from(content, at) if at + RECORD.size <= len(content) else (0, 0)
            end = at + RECORD.size + length
            if kind == 0 or end > len(content):
                if not piece.cut:
                    self._damaged.setdefault(piece.offset, "a record in it ends early")
                return
            yield kind, content[at + RECORD.size : end]
            at = end

    def _unpacked(self, piece: _Piece) -> bytes:
        """The records of a chunk; of one that the file's end cuts, those that are there.

        Raises:
            _Damage: It is not what its checksum says, or claims to be too large.
            DecompressionError: It cannot be unpacked.
        """
        head = self._read(piece.offset - RECORD.size, 1)
        if head != bytes([CHUNK]):
            raise _Damage("there is no chunk where the index says")
        fields = _Fields(self._read(piece.offset, piece.length))
        fields.take(16)
        size, checksum, compression = fields.number(8), fields.number(4), fields.text()
        stored = fields.number(8)
        if size > LARGEST_CHUNK:
            raise _Damage(f"it claims to hold {size} bytes")
        packed = fields.rest() if piece.cut else fields.take(stored)
        content = decompressed(packed, compression, size, partly=piece.cut)
        if piece.cut:
            return content
        if len(content) != size:
            raise _Damage(f"it holds {len(content)} bytes instead of {size}")
        if checksum and crc32(content) != checksum:
            raise _Damage("its checksum is another")
        return content

    def _read(self, offset: int, count: int) -> bytes:
        try:
            self._file.seek(offset)
            return self._file.read(count)
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> BagError:
        return BagError(f"{self.name} cannot be read: {error.strerror or error}")
