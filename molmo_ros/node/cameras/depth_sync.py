"""Finds the depth image that belongs to a picture: nearest stamp, within a tolerance."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from rclpy.clock import ClockType
from rclpy.time import Time

from molmo_ros.node.cameras.frame import stamp_ns
from molmo_ros.node.cameras.message_cache import message_cache

BUFFERED = 6


class DepthSync:
    """Keeps the last few depth images and the best match for the picture that is being worked on.

    Inference takes far longer than the cache is deep, and depth may come after its picture, so the match is kept up
    to date from the start of a query until it is collected: no queue of message_filters' synchronisers lasts that
    long. Thread-safe.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._recent = message_cache(BUFFERED)
        self._wanted: int | None = None
        self._match: Any | None = None
        self._received = False

    def put(self, message: Any) -> None:
        """Add a depth image: a message with a header, kept as it is."""
        if message.header.stamp.sec < 0:
            return  # no picture is of a time before 1970, and rclpy has none
        with self._changed:
            self._received = True
            self._recent.add(message)
            self._consider(message)
            self._changed.notify_all()

    def want(self, stamp: int) -> None:
        """Start looking for the depth of the picture taken at `stamp` [ns]."""
        with self._changed:
            self._wanted, self._match = stamp, None
            for message in self._around(stamp):
                self._consider(message)

    def collect(self, tolerance: float, patience: float) -> tuple[Any | None, str]:
        """The depth image wanted, waiting for a late one, and why there is none.

        Args:
            tolerance: Largest difference of the stamps [s].
            patience: How long to wait for a depth image that is still on its way [s]. Not waited at all
                while no depth has ever come, or where one with a later stamp is already here.
        """
        if self._wanted is None:
            return None, "no depth image was asked for"
        return self._find(self._wanted, tolerance, patience, lambda: self._match)

    def nearest(self, stamp: int, tolerance: float, patience: float) -> tuple[Any | None, str]:
        """The depth image nearest to any stamp [ns], of those that are kept, and why there is none; see `collect`."""
        return self._find(
            stamp,
            tolerance,
            patience,
            lambda: min(self._around(stamp), key=lambda one: _apart(one, stamp), default=None),
        )

    def clear(self) -> None:
        """Forget all depth images: the clock jumped."""
        with self._changed:
            self._recent = message_cache(BUFFERED)
            self._match = None

    def _find(
        self, stamp: int, tolerance: float, patience: float, best: Callable[[], Any | None]
    ) -> tuple[Any | None, str]:
        """Waits for the best image until none that is still to come can be better."""
        deadline = time.monotonic() + patience
        with self._changed:
            if not self._received:
                return None, "no depth image has arrived"
            while True:
                found = best()
                apart = float("inf") if found is None else _apart(found, stamp) * 1e-9
                if apart <= tolerance:
                    return found, ""
                left = deadline - time.monotonic()
                if left <= 0 or any(stamp_ns(one.header) > stamp for one in self._around(stamp)):
                    break
                self._changed.wait(left)
        if found is None:
            return None, "no depth image is held: the clock jumped"
        return None, f"the nearest depth image is {apart:.3f} s apart, the tolerance is {tolerance:g} s"

    def _around(self, stamp: int) -> list[Any]:
        """The kept images next to a stamp [ns], before and after it."""
        if stamp < 0:
            return []
        moment = Time(nanoseconds=stamp, clock_type=ClockType.ROS_TIME)
        both = self._recent.getElemBeforeTime(moment), self._recent.getElemAfterTime(moment)
        return [one for one in both if one is not None]

    def _consider(self, message: Any) -> None:
        """Takes a message for the match if it is nearer than the one so far."""
        if self._wanted is None:
            return
        if self._match is None or _apart(message, self._wanted) < _apart(self._match, self._wanted):
            self._match = message


def _apart(message: Any, stamp: int) -> int:
    """How far a message's stamp is from another [ns]."""
    return abs(stamp_ns(message.header) - stamp)
