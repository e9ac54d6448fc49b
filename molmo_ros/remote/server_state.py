# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is known of a server: whether it answers, since when, and how fast."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

WINDOW = 100
"""Answers whose times are kept."""


@dataclass(frozen=True)
class ServerState:
    """A server at one moment.

    Attributes:
        address: Its own.
        model: What it calls the model; "" before it was asked.
        up: Whether it answers, as far as is known; None before anything was asked.
        reason: Why it does not; "" where it does.
        since: For how long this has been so [s].
        answers: How many it has given.
        failures: How many it owes.
        first_ms: Median time to the first piece of an answer, the picture's way included [ms]; None before the first.
        total_ms: Median time of whole answers [ms].
        fallback: The model that answers in its place, for people; "" where there is none.
        fallback_answers: How many that has given.
    """

    address: str
    model: str = ""
    up: bool | None = None
    reason: str = ""
    since: float = 0.0
    answers: int = 0
    failures: int = 0
    first_ms: float | None = None
    total_ms: float | None = None
    fallback: str = ""
    fallback_answers: int = 0


class ServerRecord:
    """Keeps what is known of a server. From any thread.

    Args:
        address: Its own.
        clock: A monotonic time [s].
    """

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._address, self._clock, self._lock = address, clock, threading.Lock()
        self._model, self._reason, self._fallback = "", "", ""
        self._up: bool | None = None
        self._since = clock()
        self._answers = self._failures = self._fallback_answers = 0
        self._first: deque[float] = deque(maxlen=WINDOW)
        self._total: deque[float] = deque(maxlen=WINDOW)

    @property
    def up(self) -> bool | None:
        """Whether the server answers, as far as is known."""
        return self._up

    @property
    def reason(self) -> str:
        """Why it does not."""
        return self._reason

    def is_up(self, model: str) -> None:
        """It has shown that it answers."""
        with self._lock:
            self._model = model
            self._turn(True, "")

    def is_down(self, reason: str) -> None:
        """It has shown that it does not."""
        with self._lock:
            self._turn(False, reason)

    def answered(self, first_ms: float | None, total_ms: float) -> None:
        """It has given an answer, to its end."""
        with self._lock:
            self._answers += 1
            self._total.append(total_ms)
            if first_ms is not None:
                self._first.append(first_ms)
            self._turn(True, "")

    def owes(self) -> None:
        """It has given none to a question."""
        with self._lock:
            self._failures += 1

    def has_fallback(self, name: str) -> None:
        """Which model answers in its place."""
        with self._lock:
            self._fallback = name

    def fallback_answered(self) -> None:
        """That one has given an answer."""
        with self._lock:
            self._fallback_answers += 1

    def state(self) -> ServerState:
        """All of it."""
        with self._lock:
            return ServerState(
                self._address,
                self._model,
                self._up,
                self._reason,
                self._clock() - self._since,
                self._answers,
                self._failures,
                median(self._first) if self._first else None,
                median(self._total) if self._total else None,
                self._fallback,
                self._fallback_answers,
            )

    def _turn(self, up: bool, reason: str) -> None:
        if up is not self._up:
            self._up, self._since = up, self._clock()
        self._reason = reason
