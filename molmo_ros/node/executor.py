"""What runs the node's callbacks: short ones at once, those that wait in threads of their own."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from rclpy.executors import ConditionReachedException, Executor, ShutdownException, TimeoutException
from rclpy.subscription import Subscription
from rclpy.timer import Timer


class NodeExecutor(Executor):
    """Runs subscriptions and timers in the thread that spins, and everything else in a pool of threads.

    rclpy's MultiThreadedExecutor hands every callback to its pool, and hands it over again and again until a thread has
    begun with it: at a camera's rate that costs several times what the callbacks do, and a hundred threads. The node's
    subscriptions and timers only store or publish; services, goals and changes of state wait for the model.

    Args:
        num_threads: How many callbacks may wait at the same time.
    """

    def __init__(self, num_threads: int, **options: Any) -> None:
        super().__init__(**options)
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="molmo_callback")
        self._begun: list[tuple[Any, Future[None]]] = []

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Begin with one callback that is ready, waiting for it up to `timeout_sec` [s].

        Raises:
            rclpy.executors.ExternalShutdownException: The context was shut down.
            Exception: What a callback raised.
        """
        self._forget_done()
        try:
            ready: tuple[Any, Any, Any] = self.wait_for_ready_callbacks(timeout_sec=timeout_sec)
        except (TimeoutException, ShutdownException, ConditionReachedException):
            return
        handler, entity, _ = ready
        if isinstance(entity, (Subscription, Timer)):
            handler()
            handler.result()
        elif all(handler is not one for one, _ in self._begun):
            self._in_a_thread(handler)

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Begin with nothing more, and wait for what runs."""
        done = super().shutdown(timeout_sec)
        self._pool.shutdown(wait=False)
        return done

    def _in_a_thread(self, handler: Any) -> None:
        begun = threading.Event()

        def run() -> None:
            begun.set()
            handler()

        self._begun.append((handler, self._pool.submit(run)))
        begun.wait()  # until then rclpy takes the callback for ready

    def _forget_done(self) -> None:
        over = [one for one in self._begun if one[1].done()]
        self._begun = [one for one in self._begun if one not in over]
        for handler, _ in over:
            if handler.done():
                handler.result()
