"""Finds the depth image that belongs to a picture: nearest stamp, within a tolerance."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

BUFFERED = 6


class DepthSync:
    """Keeps the last few depth images and the best match for the picture that is being worked on.

    Inference takes far longer than the buffer is deep, and depth may come after its picture, so the
    match is kept up to date from the start of a query until it is collected. Thread-safe.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._recent: deque[tuple[int, Any]] = deque(maxlen=BUFFERED)
        self._wanted: int | None = None
        self._match: tuple[int, Any] | None = None
        self._received = 0

    def put(self, stamp: int, message: Any) -> None:
        """Add a depth image.

        Args:
            stamp: Its time [ns].
            message: The image message, kept as it is.
        """
        with self._changed:
            self._received += 1
            self._recent.append((stamp, message))
            self._consider((stamp, message))
            self._changed.notify_all()

    def want(self, stamp: int) -> None:
        """Start looking for the depth of the picture taken at `stamp` [ns]."""
        with self._changed:
            self._wanted, self._match = stamp, None
            for item in self._recent:
                self._consider(item)

    def collect(self, tolerance: float, patience: float) -> tuple[Any | None, str]:
        """The depth image wanted, waiting for a late one, and why there is none.

        Args:
            tolerance: Largest difference of the stamps [s].
            patience: How long to wait for a depth image that is still on its way [s]. Not waited at all
                while no depth has ever come, or where one with a later stamp is already here.
        """
        deadline = time.monotonic() + patience
        with self._changed:
            while self._received and not self._settled(tolerance):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            if not self._received:
                return None, "no depth image has arrived"
            if self._match is None or self._wanted is None:
                return None, "no depth image is held: the clock jumped or a query was cancelled"
            stamp, message = self._match
            apart = abs(stamp - self._wanted) * 1e-9
            if apart > tolerance:
                return (
                    None,
                    f"the nearest depth image is {apart:.3f} s apart, the tolerance is {tolerance:g} s",
                )
            return message, ""

    def nearest(self, stamp: int, tolerance: float, patience: float) -> tuple[Any | None, str]:
        """The depth image nearest to any stamp [ns], and why there is none; otherwise as `collect`."""
        deadline = time.monotonic() + patience
        with self._changed:
            while True:
                best = min(self._recent, key=lambda item: abs(item[0] - stamp), default=None)
                if best is not None and abs(best[0] - stamp) <= tolerance * 1e9:
                    return best[1], ""
                left = deadline - time.monotonic()
                late = any(held > stamp for held, _ in self._recent)
                if best is None and not self._received:
                    return None, "no depth image has arrived"
                if late or left <= 0:
                    return None, f"no depth image is within {tolerance:g} s of the image"
                self._changed.wait(left)

    def clear(self) -> None:
        """Forget all depth images: the clock jumped."""
        with self._changed:
            self._recent.clear()
            self._match = None

    def _consider(self, item: tuple[int, Any]) -> None:
        if self._wanted is None:
            return
        if self._match is None or abs(item[0] - self._wanted) < abs(self._match[0] - self._wanted):
            self._match = item

    def _settled(self, tolerance: float) -> bool:
        """Whether no depth image still to come can be better."""
        if self._match is None or self._wanted is None:
            return False
        if abs(self._match[0] - self._wanted) <= tolerance * 1e9:
            return True
        return any(stamp > self._wanted for stamp, _ in self._recent)
