"""What runs the node's callbacks: short ones at once, those that wait in threads of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.executors import ConditionReachedException, Executor, ShutdownException, TimeoutException
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from rosgraph_msgs.msg import Clock

CLOCK_PERIOD = 0.01
"""How often the time of `/clock` is taken at most [s]. A simulator sends it at up to 1000 Hz, and every message costs
more than half a millisecond of the interpreter; the ones between are replaced by the newest."""
CLOCK_PAUSE = 1.0
"""After so long without one, it is waited for like any other topic [s]."""


class NodeExecutor(Executor):
    """Runs subscriptions and timers in the thread that spins, and everything else in a pool of threads.

    rclpy's MultiThreadedExecutor hands every callback to its pool, and hands it over again and again until a thread has
    begun with it: at a camera's rate that costs several times what the callbacks do, and a hundred threads. The node's
    subscriptions and timers only store or publish; services, goals and changes of state wait for the model.

    What a callback raises ends nothing: anyone on the network may send what it was not made for.

    Args:
        num_threads: How many callbacks may wait at the same time.
        on_error: Called, from any thread, with what a callback was for, such as `topic /clock`, and what it raised.
    """

    def __init__(
        self, num_threads: int, on_error: Callable[[str, Exception], object], **options: Any
    ) -> None:
        super().__init__(**options)
        self._on_error = on_error
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="molmo_callback")
        self._begun: list[tuple[Any, Any, Future[None]]] = []
        self._clock_due = -CLOCK_PAUSE

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Begin with one callback that is ready, waiting for it up to `timeout_sec` [s].

        Raises:
            rclpy.executors.ExternalShutdownException: The context was shut down.
            Exception: The middleware cannot be waited for.
        """
        self._forget_done()
        if time.monotonic() < self._clock_due + CLOCK_PAUSE:
            # Always the same: at another time-out, rclpy begins anew with the first of what is ready.
            timeout_sec = CLOCK_PERIOD if timeout_sec is None else min(timeout_sec, CLOCK_PERIOD)
        try:
            ready: tuple[Any, Any, Any] = self.wait_for_ready_callbacks(timeout_sec=timeout_sec)
        except (TimeoutException, ShutdownException, ConditionReachedException):
            return
        handler, entity, _ = ready
        if isinstance(entity, (Subscription, Timer)):
            if _is_clock(entity):
                self._clock_due = time.monotonic() + CLOCK_PERIOD
            handler()
            self._finish(handler, entity)
        elif all(handler is not one for one, *_ in self._begun):
            self._in_a_thread(handler, entity)

    def can_execute(self, entity: Any) -> bool:
        """Whether to wait for an entity: for `/clock`, only when its next time is due."""
        if _is_clock(entity) and time.monotonic() < self._clock_due:
            return False
        return super().can_execute(entity)

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Begin with nothing more, and wait for what runs."""
        done = super().shutdown(timeout_sec)
        self._pool.shutdown(wait=False)
        return done

    def _make_handler(self, entity: Any, node: Any, take_from_wait_list: Any, *options: Any) -> Any:
        """A message that cannot even be read: rclpy would take the entity for busy ever after."""

        def take(entity: Any) -> Any:
            try:
                return take_from_wait_list(entity)
            except Exception as error:
                self._report(entity, error)
                return None

        return super()._make_handler(entity, node, take, *options)

    def _in_a_thread(self, handler: Any, entity: Any) -> None:
        begun = threading.Event()

        def run() -> None:
            begun.set()
            handler()

        self._begun.append((handler, entity, self._pool.submit(run)))
        begun.wait()  # until then rclpy takes the callback for ready

    def _forget_done(self) -> None:
        over = [one for one in self._begun if one[2].done()]
        self._begun = [one for one in self._begun if one not in over]
        for handler, entity, _ in over:
            if handler.done():
                self._finish(handler, entity)

    def _finish(self, handler: Any, entity: Any) -> None:
        try:
            handler.result()
        except Exception as error:
            self._report(entity, error)

    def _report(self, entity: Any, error: Exception) -> None:
        # What was destroyed while it was looked at, and what cannot be sent any more at the end, is no error.
        if not isinstance(error, InvalidHandle) and self.context.ok():
            self._on_error(_purpose(entity), error)


def _is_clock(entity: Any) -> bool:
    return isinstance(entity, Subscription) and entity.msg_type is Clock


def _purpose(entity: Any) -> str:
    """What an entity is for: its topic or its service, where it has one."""
    for attribute, kind in (("topic_name", "topic"), ("service_name", "service"), ("srv_name", "service")):
        if name := getattr(entity, attribute, None):
            return f"{kind} {name}"
    return "goal" if entity is None else type(entity).__name__.lower()
