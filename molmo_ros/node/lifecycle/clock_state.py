# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whether a simulation's time goes on, and who sets it."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.clock import ROSClock
from rclpy.node import Node

CLOCK_TOPIC = "/clock"
STANDS_AFTER = 2.0
"""A time that has not moved for so long stands [s]."""
MOST_NAMED = 5


class ClockState:
    """Looks at a node's clock now and then.

    Args:
        node: An rclpy node.
        real_time: A monotonic time [s].
    """

    def __init__(self, node: Node, real_time: Callable[[], float] = time.monotonic) -> None:
        self._node, self._real_time = node, real_time
        self._time, self._since = -1, real_time()

    def look(self) -> None:
        """Note the time; to be called once a second."""
        if (now := self._now()) != self._time:
            self._time, self._since = now, self._real_time()

    def standing(self) -> str:
        """Why nothing may come, as the simulation's time stands; empty where it goes on, and with the system's."""
        now = self._now()
        if not self._is_simulated:
            return ""
        if not now and not self._node.count_publishers(CLOCK_TOPIC):
            return (
                f"the clock is at 0, because use_sim_time is set and nobody publishes {CLOCK_TOPIC}: bridge it from "
                "the simulator, or set use_sim_time to false"
            )
        stood = self._real_time() - self._since
        if not now or (now == self._time and stood >= STANDS_AFTER):
            return f"the clock stands at {now * 1e-9:.3f} s: is the simulation paused?"
        return ""

    def rivals(self) -> str:
        """That several set the time, with their names; empty where at most one does."""
        infos = self._node.get_publishers_info_by_topic(CLOCK_TOPIC)
        if len(infos) < 2 or not self._is_simulated:
            return ""
        names = sorted(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos)
        return (
            f"{len(infos)} publishers set the time on {CLOCK_TOPIC} ({', '.join(names[:MOST_NAMED])}): end all but one "
            "of them"
        )

    @property
    def _is_simulated(self) -> bool:
        clock = self._node.get_clock()
        return isinstance(clock, ROSClock) and clock.ros_time_is_active

    def _now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)
