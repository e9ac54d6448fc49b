# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Questions that wait for the model: bounded, first come first served, those about the same pictures together."""

from __future__ import annotations

import threading
from collections.abc import Callable

from molmo_ros.server.model_job import ModelJob
from molmo_ros.server.request_error import overloaded, unavailable


class JobQueue:
    """Between the clients' threads and the model's.

    Args:
        most: How many may wait.
        together: How many about the same pictures are taken at a time.
        pace: Tells how long the model takes for what it takes at a time, on average [s].
    """

    def __init__(self, most: int, together: int, pace: Callable[[], float] = lambda: 1.0) -> None:
        self._most, self._together, self._pace = most, together, pace
        self._waiting: list[ModelJob] = []
        self._changed = threading.Condition()
        self._closed = ""

    def __len__(self) -> int:
        return len(self._waiting)

    def check(self) -> None:
        """Refuses what could not wait, before its body is read.

        Raises:
            RequestError: 429 where too many wait; 503 where nothing is answered any more.
        """
        if self._closed:
            raise unavailable(self._closed, "shutting_down")
        if len(self._waiting) >= self._most:
            retry = min(60.0, self._pace() * len(self._waiting) / 2)
            raise overloaded(
                f"{len(self._waiting)} questions wait, which is the limit; try again later", retry
            )

    def put(self, job: ModelJob) -> None:
        """Lets it wait.

        Raises:
            RequestError: As of `check`.
        """
        with self._changed:
            self.check()
            self._waiting.append(job)
            self._changed.notify()

    def withdraw(self, job: ModelJob) -> bool:
        """Takes it out again; False where it does not wait (any more)."""
        with self._changed:
            if job not in self._waiting:
                return False
            self._waiting.remove(job)
            return True

    def take(self) -> list[ModelJob]:
        """Waits for questions: the oldest, and others about the same pictures. None once the queue is closed."""
        with self._changed:
            while not self._closed:
                self._waiting = [job for job in self._waiting if not job.cancel.is_set()]
                if self._waiting:
                    key = self._waiting[0].image_key
                    same = [job for job in self._waiting if job.image_key == key][: self._together]
                    self._waiting = [job for job in self._waiting if job not in same]
                    return same
                self._changed.wait()
            return []

    def close(self, why: str) -> None:
        """Ends it: what waits is refused, and whatever comes."""
        with self._changed:
            self._closed = self._closed or why
            waiting, self._waiting = self._waiting, []
            self._changed.notify_all()
        for job in waiting:
            job.deliver(unavailable(why, "shutting_down"))
