# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds the depth image that belongs to a picture: nearest stamp, within a tolerance."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from molmo_ros.node.cameras.message_cache import MessageCache
from molmo_ros.node.records.frame import stamp_ns

if TYPE_CHECKING:
    from molmo_ros.node.records.frame import DepthMessage

SPAN = 2.0
"""How long depth is kept at least, in the time of its stamps [s]: pictures wait, and come late."""
MAX_BYTES = 64 * 2**20
"""How much depth is kept at most; beside it, the match of the newest picture and of the one that is worked on."""


class DepthSync:
    """Keeps depth by time, and the best match for two pictures: the newest one and the one that is worked on.

    A picture may wait longer, and inference may take longer, than depth can be kept, and depth may come before or
    after its picture. So the match of a picture is kept up to date from the moment that it comes until a newer one
    replaces it, and from the start of a query until it is collected. Thread-safe.

    Attributes:
        what: What depth is, for people: `depth image`, or `cloud`.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._recent = MessageCache(round(SPAN * 1e9), MAX_BYTES)
        self._newest: _Match | None = None
        self._wanted: _Match | None = None
        self._received = self._unstamped = False
        self.what = "depth image"
        self._cleared = ""

    def keep(self, span: float) -> None:
        """Keep depth for so long [s], or for `SPAN` where that is longer."""
        with self._changed:
            self._recent.span = round(max(span, SPAN) * 1e9)

    def put(self, message: DepthMessage) -> None:
        """Add a depth image or a cloud: a message with a header and data, kept as it is."""
        with self._changed:
            self._received, self._cleared = True, ""
            self._unstamped = stamp_ns(message.header) <= 0
            if not self._unstamped:
                self._recent.add(message)
                for match in filter(None, (self._newest, self._wanted)):
                    match.consider(message)
            self._changed.notify_all()

    def expect(self, stamp: int) -> None:
        """A picture taken at `stamp` [ns] has come, and is the newest: its depth is kept from now on."""
        with self._changed:
            self._newest = self._match(stamp)

    def want(self, stamp: int) -> None:
        """Start looking for the depth of the picture taken at `stamp` [ns]."""
        with self._changed:
            self._wanted = self._match(stamp)

    def collect(self, tolerance: float, patience: float) -> tuple[DepthMessage | None, str]:
        """The depth image wanted, waiting for a late one, and why there is none.

        Args:
            tolerance: Largest difference of the stamps [s].
            patience: How long to wait for a depth image that is still on its way [s]. Not waited at all
                while no depth has ever come, or where one with a later stamp is already here.
        """
        wanted = self._wanted
        if wanted is None:
            return None, "no depth image was asked for"
        return self._find(wanted.stamp, tolerance, patience, lambda: self._wanted and self._wanted.message)

    def nearest(self, stamp: int, tolerance: float, patience: float) -> tuple[DepthMessage | None, str]:
        """The depth image nearest to any stamp [ns], of those that are kept, and why there is none; see `collect`."""
        return self._find(stamp, tolerance, patience, lambda: self._match(stamp).message)

    def clear(self, reason: str = "") -> None:
        """Forget all depth images.

        Args:
            reason: Since when none has come, for people (`the clock went back by 3.0 s`); empty where none ever has.
        """
        with self._changed:
            self._recent.clear()
            self._newest = None
            if self._wanted is not None:
                self._wanted.message = None
            self._cleared, self._unstamped = reason, False
            self._received = self._received and bool(reason)
            self._changed.notify_all()

    def _find(
        self, stamp: int, tolerance: float, patience: float, best: Callable[[], DepthMessage | None]
    ) -> tuple[DepthMessage | None, str]:
        """Waits for the best image until none that is still to come can be better."""
        deadline = time.monotonic() + patience
        with self._changed:
            while True:
                found = best()
                apart = float("inf") if found is None else _apart(found, stamp) * 1e-9
                if apart <= tolerance:
                    return found, ""
                left = deadline - time.monotonic()
                later = any(stamp_ns(one.header) > stamp for one in self._recent.around(stamp))
                if left <= 0 or later or not self._received or self._unstamped:
                    break
                self._changed.wait(left)
            if found is not None:
                return (
                    None,
                    f"the nearest {self.what} is {apart:.3f} s apart, the tolerance is {tolerance:g} s",
                )
            if self._unstamped:
                return None, f"{self.what}s have no stamp (0), so which belongs to a picture is not known"
            return None, f"no {self.what} has arrived" + (f" since {self._cleared}" if self._cleared else "")

    def _match(self, stamp: int) -> _Match:
        """The best match so far of a picture of that stamp [ns]."""
        match = _Match(stamp)
        for one in self._recent.around(stamp):
            match.consider(one)
        for kept in filter(None, (self._newest, self._wanted)):
            if kept.stamp == stamp and kept.message is not None:
                match.consider(kept.message)
        return match


class _Match:
    """The depth image nearest to a stamp [ns]; of equal ones the last."""

    def __init__(self, stamp: int) -> None:
        self.stamp = stamp
        self.message: DepthMessage | None = None

    def consider(self, message: DepthMessage) -> None:
        if self.message is None or _apart(message, self.stamp) <= _apart(self.message, self.stamp):
            self.message = message


def _apart(message: DepthMessage, stamp: int) -> int:
    """How far a message's stamp is from another [ns]."""
    return abs(stamp_ns(message.header) - stamp)
