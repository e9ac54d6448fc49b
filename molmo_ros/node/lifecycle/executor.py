# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What runs the node's callbacks: short ones at once, those that wait in threads of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.executors import ConditionReachedException, Executor, ShutdownException, TimeoutException
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from rosgraph_msgs.msg import Clock

from molmo_ros.node.lifecycle.clock_feed import ClockFeed


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
        self._clock_feed = ClockFeed(self.wake, self._report)

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Begin with one callback that is ready, waiting for it up to `timeout_sec` [s].

        Raises:
            rclpy.executors.ExternalShutdownException: The context was shut down.
            Exception: The middleware cannot be waited for.
        """
        self._forget_done()
        self._clock_feed.set_back()
        try:
            ready: tuple[Any, Any, Any] = self.wait_for_ready_callbacks(timeout_sec=timeout_sec)
        except (TimeoutException, ShutdownException, ConditionReachedException):
            return
        handler, entity, _ = ready
        if isinstance(entity, (Subscription, Timer)):
            handler()
            self._finish(handler, entity)
        elif all(handler is not one for one, *_ in self._begun):
            self._in_a_thread(handler, entity)

    def can_execute(self, entity: Any) -> bool:
        """Whether to wait for an entity: for `/clock` never, which comes too often for that."""
        if isinstance(entity, Subscription) and entity.msg_type is Clock:
            self._clock_feed.follow(entity)
            return False
        if self._clock_feed.is_event(
            entity
        ):  # with them, the middleware wakes for every message all the same
            return False
        return super().can_execute(entity)

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Begin with nothing more, and wait for what runs."""
        self._clock_feed.close()
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


def _purpose(entity: Any) -> str:
    """What an entity is for: its topic or its service, where it has one."""
    for attribute, kind in (("topic_name", "topic"), ("service_name", "service"), ("srv_name", "service")):
        if name := getattr(entity, attribute, None):
            return f"{kind} {name}"
    return "goal" if entity is None else type(entity).__name__.lower()
