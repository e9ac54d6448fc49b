# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The one queue in front of the one model: most urgent first, bounded, and cancellable while waiting."""

from __future__ import annotations

import threading

from molmo_ros.node.records.request import Request


class RequestQueue:
    """Requests that wait, and those that the worker has taken: some run, the others of their batch are next.

    Order: action, service, topic, and the older first among equals. Requests about the same camera are handed out
    together, to be answered about one frame. A running continuous query makes way for any other; nothing else is
    preempted. Thread-safe.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[Request] = []
        self._taken: list[Request] = []
        self._running: list[Request] = []
        self._closed = False
        self._preempted = 0

    def submit(self, request: Request, capacity: int) -> bool:
        """Queue a request; False where `capacity` of them are waiting already, or the queue is closed."""
        with self._changed:
            if self._closed or len(self._waiting) >= capacity:
                return False
            self._waiting.append(request)
            self._waiting.sort(key=lambda one: one.source.rank)  # stable: the older first among equals
            self._preempt_continuous()
            self._changed.notify_all()
            return True

    def take(self) -> list[Request]:
        """The most urgent request and all others about the same camera, out of the queue now; [] where none waits.

        A request that brought its own image comes alone.
        """
        with self._changed:
            if not self._waiting or self._closed:
                return []
            first = self._waiting[0]
            batch = [
                one
                for one in self._waiting
                if one is first or (_shares_frame(first, one) and not one.cancel.is_set())
            ]
            self._waiting = [one for one in self._waiting if one not in batch]
            self._taken, self._running = list(batch), []
            return batch

    def begin(self, request: Request) -> bool:
        """A request that was taken runs from now on; False where it was cancelled, and has its outcome."""
        with self._changed:
            if request not in self._taken:
                return False
            self._running.append(request)
            return True

    def run_continuous(self, batch: list[Request]) -> bool:
        """Count continuous queries as taken; False where something more urgent waits, or the queue is closed."""
        with self._changed:
            if self._waiting or self._closed:
                return False
            self._taken, self._running = list(batch), []
            return True

    def put_back(self, requests: list[Request]) -> None:
        """Requests that were taken, and were not cancelled since, wait again, before all others of their urgency."""
        with self._changed:
            again = [one for one in requests if one in self._taken]
            self._taken = [one for one in self._taken if one not in again]
            self._running = [one for one in self._running if one not in again]
            self._waiting = sorted([*again, *self._waiting], key=lambda one: one.source.rank)

    def finished(self, request: Request) -> None:
        """A request that was taken has its outcome."""
        with self._changed:
            self._taken = [one for one in self._taken if one is not request]
            self._running = [one for one in self._running if one is not request]

    def cancel(self, request: Request) -> bool:
        """Cancel a request; True where it had not begun, and never will: the caller gives it its outcome."""
        with self._changed:
            request.cancel.set()
            for waiting in (self._waiting, self._taken):
                if request in waiting and request not in self._running:
                    waiting.remove(request)
                    return True
            return False

    def cancel_taken(self) -> None:
        """Cancel what was taken."""
        with self._changed:
            for request in self._taken:
                request.cancel.set()

    def drain(self) -> list[Request]:
        """Take out all requests without an outcome, those that were taken first."""
        with self._changed:
            left = [*self._taken, *self._waiting]
            self._taken, self._waiting, self._running = [], [], []
            return left

    def close(self) -> None:
        """Take nothing more, and hand out nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether nothing is taken."""
        with self._changed:
            return self._closed

    def open(self) -> None:
        """Take requests again."""
        with self._changed:
            self._closed = False

    def wait(self, timeout: float) -> None:
        """Until something waits, `wake` is called, or `timeout` [s] has passed."""
        with self._changed:
            if not self._waiting and not self._closed:
                self._changed.wait(timeout)

    def wake(self) -> None:
        """End `wait`: something else that the waiting one looks at has changed."""
        with self._changed:
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        with self._changed:
            return len(self._waiting)

    @property
    def taken(self) -> list[Request]:
        """The requests that were taken and have no outcome yet."""
        with self._changed:
            return list(self._taken)

    @property
    def preempted(self) -> int:
        """How many continuous queries made way so far."""
        with self._changed:
            return self._preempted

    def _preempt_continuous(self) -> None:
        for request in self._taken:
            if request.continuous and not request.cancel.is_set():
                request.preempted = True
                request.cancel.set()
                self._preempted += 1


def _shares_frame(first: Request, other: Request) -> bool:
    return first.image is None and other.image is None and first.query.camera == other.query.camera
