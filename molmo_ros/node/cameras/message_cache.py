# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The messages of a topic around its newest one, by stamp: over a span of time, within a number of bytes."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from molmo_ros.node.records.frame import stamp_ns

if TYPE_CHECKING:
    from molmo_ros.node.records.frame import DepthMessage


class _Kept(NamedTuple):
    stamp: int
    number: int
    message: DepthMessage


class MessageCache:
    """Finds messages with a header and data by their stamps, whatever the order of arrival was. Not thread-safe.

    Of messages with the same stamp the newest is kept.

    Args:
        span: Messages whose stamps are further from that of the last one are forgotten [ns].
        max_bytes: When more data than that are held, the first to come is the first to go; the last one stays.

    Attributes:
        span: May be changed; holds from the next message on.
    """

    def __init__(self, span: int, max_bytes: int) -> None:
        self.span = span
        self._max_bytes = max_bytes
        self._arrivals: deque[_Kept] = deque()
        self._by_stamp: list[tuple[int, int]] = []  # stamp and number, in order
        self._messages: dict[int, DepthMessage] = {}  # by number
        self._bytes = self._count = 0

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: DepthMessage) -> None:
        """Keep a message."""
        one = _Kept(stamp_ns(message.header), self._count, message)
        self._count += 1
        for kept in [kept for kept in self._arrivals if not 0 < abs(kept.stamp - one.stamp) <= self.span]:
            self._arrivals.remove(kept)
            self._forget(kept)
        self._arrivals.append(one)
        insort(self._by_stamp, (one.stamp, one.number))
        self._messages[one.number] = message
        self._bytes += len(message.data)
        while self._bytes > self._max_bytes and len(self._arrivals) > 1:
            self._forget(self._arrivals.popleft())

    def around(self, stamp: int) -> list[DepthMessage]:
        """The last message of this stamp or before, and the first one after it [ns]; those that there are."""
        after = bisect_left(self._by_stamp, (stamp + 1, -1))
        return [self._messages[number] for _, number in self._by_stamp[max(after - 1, 0) : after + 1]]

    def clear(self) -> None:
        """Forget all."""
        self._arrivals.clear()
        self._by_stamp.clear()
        self._messages.clear()
        self._bytes = 0

    def _forget(self, kept: _Kept) -> None:
        del self._messages[kept.number]
        del self._by_stamp[bisect_left(self._by_stamp, (kept.stamp, kept.number))]
        self._bytes -= len(kept.message.data)
