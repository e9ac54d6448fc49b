# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Running figures about what the node does: latencies, rates, counts. Thread-safe, in memory that does not grow."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable

import numpy as np

Clock = Callable[[], float]
"""A monotonic time [s]."""


class LatencyWindow:
    """Percentiles of the values of the last while.

    Args:
        span: How far the window reaches back [s].
        size: Most values that are kept; of more than these in `span`, the newest count.
        clock: Where the time comes from.
    """

    def __init__(self, span: float = 60.0, size: int = 1024, clock: Clock = time.monotonic) -> None:
        self._span, self._clock = span, clock
        self._lock = threading.Lock()
        self._entries: deque[tuple[float, float]] = deque(maxlen=size)

    def add(self, value: float) -> None:
        """Add a value, such as a latency [s]."""
        with self._lock:
            self._entries.append((self._clock(), value))

    def percentile(self, percent: float) -> float:
        """The value that `percent` of the window's values do not exceed, interpolated; NaN in an empty window."""
        oldest = self._clock() - self._span
        with self._lock:
            values = [value for added, value in self._entries if added >= oldest]
        return float(np.percentile(values, percent)) if values else float("nan")

    @property
    def median(self) -> float:
        return self.percentile(50)

    @property
    def p95(self) -> float:
        return self.percentile(95)


class RateWindow:
    """How often something happened lately.

    Args:
        span: How far the window reaches back [s].
        size: Most events that are kept, which only bounds the memory: the rate of more than these is right too.
        clock: Where the time comes from.
    """

    def __init__(self, span: float = 5.0, size: int = 1024, clock: Clock = time.monotonic) -> None:
        self._span, self._clock = span, clock
        self._lock = threading.Lock()
        self._events: deque[float] = deque(maxlen=size)
        self._started = clock()

    def add(self) -> None:
        """It happened now."""
        with self._lock:
            self._events.append(self._clock())

    @property
    def rate(self) -> float:
        """Events per second [Hz], over `span` or, in the beginning, over the time since the window was made."""
        now = self._clock()
        with self._lock:
            events = [event for event in self._events if event >= now - self._span]
        reach = min(self._span, now - self._started)
        if len(events) == self._events.maxlen:
            reach = now - events[0]
        return len(events) / reach if reach > 0 else 0.0


class Tally:
    """Counts by name. Names beyond the first `most` are counted together as `other`."""

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """Count one more of `name`."""
        with self._lock:
            known = name in self._counts or len(self._counts) < self._most
            self._counts[name if known else "other"] += 1

    def counts(self) -> dict[str, int]:
        """All counts so far, by name in alphabetical order."""
        with self._lock:
            return dict(sorted(self._counts.items()))
