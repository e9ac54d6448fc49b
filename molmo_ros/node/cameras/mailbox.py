# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A mailbox with one slot: the newest frame wins, so nothing ever queues behind inference."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds the newest item and counts those that were replaced before anyone looked at them.

    Reading leaves the item in place: several queries may be about the same frame. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._item: T | None = None
        self._unseen = False
        self._received = 0
        self._dropped = 0

    def put(self, item: T) -> None:
        """Replace the item; an unseen one counts as dropped."""
        with self._lock:
            self._dropped += self._unseen
            self._received += 1
            self._item, self._unseen = item, True

    def newest(self) -> T | None:
        """The newest item, seen from now on; None while there is none."""
        with self._lock:
            self._unseen = False
            return self._item

    def peek(self) -> tuple[T | None, bool]:
        """The newest item without marking it as seen, and whether it is unseen."""
        with self._lock:
            return self._item, self._unseen

    def clear(self) -> None:
        """Forget the item (not the counts)."""
        with self._lock:
            self._item, self._unseen = None, False

    @property
    def received(self) -> int:
        """How many items were put."""
        with self._lock:
            return self._received

    @property
    def dropped(self) -> int:
        """How many items were replaced unseen."""
        with self._lock:
            return self._dropped
