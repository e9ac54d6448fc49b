"""The thread that loads the model and runs queries, one at a time; no ROS in it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from molmo_ros.node.query import Query


class QueryWorker:
    """Runs queries in a thread of its own: those from the topic in order, then the continuous one.

    Args:
        load: Called once, in the thread, before the first query. An error ends the thread.
        run: Called in the thread for each query; it handles its own errors.
        next_continuous: The continuous query that is due now, or None, and how long that holds [s]
            unless `wake` is called.
    """

    def __init__(
        self,
        load: Callable[[], None],
        run: Callable[[Query], None],
        next_continuous: Callable[[], tuple[Query | None, float]],
    ) -> None:
        self._load, self._run, self._next_continuous = load, run, next_continuous
        self._changed = threading.Condition()
        self._waiting: deque[Query] = deque()
        self.stopping = threading.Event()
        """Set when the thread is to end; the model takes it as its cancel event."""
        self.running: Query | None = None
        """The query that runs now."""
        self.failure: Exception | None = None
        """What `load` raised."""
        # A daemon: a model that cannot be interrupted must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="molmo_worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, query: Query, capacity: int) -> bool:
        """Queue a query; False where `capacity` queries are waiting already."""
        with self._changed:
            if len(self._waiting) >= capacity:
                return False
            self._waiting.append(query)
            self._changed.notify()
            return True

    def wake(self) -> None:
        """Something that `next_continuous` looks at has changed."""
        with self._changed:
            self._changed.notify()

    def drain(self) -> list[Query]:
        """Take away all waiting queries."""
        with self._changed:
            waiting = list(self._waiting)
            self._waiting.clear()
            return waiting

    def stop(self, timeout: float) -> bool:
        """Cancel the query that runs, and end; False where the thread still runs after `timeout` [s]."""
        self.stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._load()
        except Exception as error:
            self.failure = error
            return
        while (query := self._next()) is not None:
            self.running = query
            self._run(query)
            self.running = None

    def _next(self) -> Query | None:
        """The next query, waited for; None when stopping."""
        with self._changed:
            while not self.stopping.is_set():
                if self._waiting:
                    return self._waiting.popleft()
                query, wait = self._next_continuous()
                if query is not None:
                    return query
                self._changed.wait(wait)
        return None


class Pace:
    """When the continuous query is due, in wall time so that a paused or jumping clock cannot block it."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def wait(self, interval: float) -> float:
        """How long until `interval` [s] after the last `mark`; 0 where it has passed."""
        return max(0.0, self._last + interval - time.monotonic())

    def mark(self) -> None:
        """A query starts now."""
        self._last = time.monotonic()
