# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What came on one topic: how often, and what the headers said."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np


class TopicRecord:
    """Takes the headers of one topic's messages, in one thread.

    Attributes:
        count: How many came.
        frames: How many of each `frame_id`.
        kinds: How many of each size and encoding, for people.
        unstamped: How many had no stamp.
        backward: How many were stamped before the message that came before them.
    """

    def __init__(self) -> None:
        self.count = self.unstamped = self.backward = 0
        self.frames: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self._stamps: list[int] = []
        self._first = self._last = 0.0

    def add(self, stamp: int, frame_id: str, kind: str) -> None:
        """A message has come; `stamp` in [ns]."""
        now = time.monotonic()
        self._first = self._first or now
        self._last = now
        self.count += 1
        self.unstamped += stamp <= 0
        self.backward += bool(self._stamps) and stamp < self._stamps[-1]
        self._stamps.append(stamp)
        self.frames[frame_id] += 1
        self.kinds[kind] += 1

    @property
    def rate(self) -> float:
        """Messages in a second of real time [Hz]; 0 where fewer than two came."""
        span = self._last - self._first
        return (self.count - 1) / span if span > 0 else 0.0

    @property
    def period(self) -> float:
        """Usual time between two stamps [s]; 0 where they stand still."""
        steps = np.diff(np.array(self._stamps, dtype=np.int64))
        return float(np.median(steps)) * 1e-9 if len(steps) else 0.0

    @property
    def stamps(self) -> np.ndarray:
        """int64 [count] of all [ns]."""
        return np.array(self._stamps, dtype=np.int64)

    @property
    def silent_for(self) -> float:
        """How long nothing has come [s] of real time; 0 where nothing ever did."""
        return time.monotonic() - self._last if self.count else 0.0
