"""The last few messages of a topic by stamp: message_filters' Cache of an installed ROS, or what stands in for it."""

from __future__ import annotations

from collections import deque
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
    """See `MessageCache`; nearest by stamp, whatever the order of arrival was. The first to come is the first to go."""

    def __init__(self, size: int) -> None:
        self._kept: deque[tuple[Time, Any]] = deque(maxlen=size)

    def add(self, message: Any) -> None:
        self._kept.append((Time.from_msg(message.header.stamp), message))

    def getElemBeforeTime(self, stamp: Time) -> Any | None:
        before = [one for one in self._kept if one[0] <= stamp]
        return max(before, key=lambda one: one[0].nanoseconds)[1] if before else None

    def getElemAfterTime(self, stamp: Time) -> Any | None:
        after = [one for one in self._kept if one[0] >= stamp]
        return min(after, key=lambda one: one[0].nanoseconds)[1] if after else None
