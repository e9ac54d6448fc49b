"""The last few messages of a topic by stamp: message_filters' Cache of an installed ROS, or what stands in for it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, Protocol

from rclpy.time import Time

from molmo_ros.node import installed_ros


class MessageCache(Protocol):
    """The part of message_filters.Cache that is used, under its names. Not thread-safe."""

    def add(self, message: Any) -> None:
        """Keep a message with a header; one of the oldest may be dropped for it."""

    def getElemBeforeTime(self, stamp: Time) -> Any | None:
        """The newest message of this stamp or before."""

    def getElemAfterTime(self, stamp: Time) -> Any | None:
        """The oldest message of this stamp or after."""


def message_cache(size: int) -> MessageCache:
    """An empty cache of at most `size` messages."""
    if message_filters := installed_ros.module("message_filters"):
        return message_filters.Cache(message_filters.SimpleFilter(), size)
    return OwnCache(size)


class OwnCache:
    """See `MessageCache`; in the order of the stamps, whatever the order of arrival was."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._stamps: list[Time] = []
        self._messages: list[Any] = []

    def add(self, message: Any) -> None:
        stamp = Time.from_msg(message.header.stamp)
        place = bisect_right(self._stamps, stamp)
        self._stamps.insert(place, stamp)
        self._messages.insert(place, message)
        del self._stamps[: -self._size], self._messages[: -self._size]

    def getElemBeforeTime(self, stamp: Time) -> Any | None:
        place = bisect_right(self._stamps, stamp)
        return self._messages[place - 1] if place else None

    def getElemAfterTime(self, stamp: Time) -> Any | None:
        place = bisect_left(self._stamps, stamp)
        return self._messages[place] if place < len(self._messages) else None
