# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The thread that runs queries, one batch at a time; no ROS in it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from molmo_ros.node.records.request import Request
from molmo_ros.node.scheduling.request_queue import RequestQueue


class QueryWorker:
    """Takes batches from the queue, and the continuous queries while the queue is empty.

    Args:
        queue: The queue.
        run: Called in the thread for each batch; it handles its own errors.
        next_continuous: The continuous queries about one camera that are due now, or none, and how long that
            holds [s] unless the queue's `wake` is called.
    """

    def __init__(
        self,
        queue: RequestQueue,
        run: Callable[[list[Request]], None],
        next_continuous: Callable[[], tuple[list[Request], float]],
    ) -> None:
        self._queue, self._run, self._next_continuous = queue, run, next_continuous
        self._stopping = threading.Event()
        # A daemon: a model that cannot be interrupted must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="molmo_worker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Cancel what runs, and end; False where the thread still runs after `timeout` [s]."""
        self._stopping.set()
        self._queue.close()
        self._queue.cancel_taken()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while not self._stopping.is_set():
            batch = self._queue.take()
            if not batch:
                batch, wait = self._next_continuous()
                if not batch or not self._queue.run_continuous(batch):
                    self._queue.wait(wait)
                    continue
            self._run(batch)
