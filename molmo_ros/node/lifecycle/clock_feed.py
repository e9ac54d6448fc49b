# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The time of `/clock`, taken at a steady pace whatever the pace at which it is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.exceptions import InvalidHandle
from rosgraph_msgs.msg import Clock

PERIOD = 0.04
"""How often the newest time is taken [s]: each look wakes a thread, which costs more than the look."""


class ClockFeed:
    """Takes the newest message of a node's subscription to `/clock`, in a thread of its own.

    A simulator sends its time at up to 1000 Hz. An executor that waits for it puts together all that the node listens
    to, which takes it more than a millisecond, for each of these messages; a look at the one subscription takes
    some microseconds. Time that goes back is not set here but in the executor's thread, as messages are received
    there: nothing from before may come after it.

    Args:
        wake: Makes the executor call `set_back`.
        on_error: Called with what a time made its callback raise.
    """

    def __init__(self, wake: Callable[[], None], on_error: Callable[[Any, Exception], None]) -> None:
        self._wake, self._on_error = wake, on_error
        self._subscription: Any = None
        self._lock = threading.Lock()
        self._back: Any = None
        self._last = 0
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, subscription: Any) -> None:
        """Take the time from this subscription from now on."""
        if subscription is self._subscription:
            return
        with self._lock:
            self._subscription, self._back, self._last = subscription, None, 0
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="molmo_clock", daemon=True)
            self._thread.start()

    def is_event(self, entity: Any) -> bool:
        """Whether an entity tells of the subscription's matches and qualities, which fit every publisher's."""
        return any(entity is event for event in getattr(self._subscription, "event_handlers", ()))

    def set_back(self) -> None:
        """Set the time that went back, if one did. To be called in the executor's thread."""
        if self._back is None:
            return
        with self._lock:
            message, self._back = self._back, None
            self._set(message)

    def close(self) -> None:
        """Take no more."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(PERIOD):
            with self._lock:
                message = self._take()
                if message is None:
                    continue
                time = message.clock.sec * 10**9 + message.clock.nanosec
                back = self._back is not None or time < self._last
                self._last = time
                if back:
                    self._back = message
                else:
                    self._set(message)
            if back:
                self._wake()

    def _take(self) -> Any:
        """The newest time that has come since the last; None where none has."""
        try:
            with self._subscription.handle:
                taken = self._subscription.handle.take_message(Clock, False)
            return taken and taken[0]
        except InvalidHandle:  # destroyed: time is the system's again
            return None
        except Exception as error:
            self._on_error(self._subscription, error)
            return None

    def _set(self, message: Clock) -> None:
        try:
            self._subscription.callback(message)
        except Exception as error:
            self._on_error(self._subscription, error)
