# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What comes on `/clock`, and from whom."""

from __future__ import annotations

import time
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from molmo_ros.node.lifecycle.clock_state import CLOCK_TOPIC

QUEUED = 2000
"""Times that wait until `take` looks: a second of a simulator's [messages]."""


class ClockRecord:
    """Counts the messages of `/clock`. They are taken from a subscription that no executor waits for, because waiting
    for a thousand of them in a second takes a third of a core.

    Args:
        node: A node that is in no executor.

    Attributes:
        count: How many came.
        first, last: The first and the newest time [ns].
        jumps: Backward jumps: from and to [ns].
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        qos = QoSProfile(depth=QUEUED, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscription = node.create_subscription(Clock, CLOCK_TOPIC, lambda _: None, qos)
        self.count = self.first = self.last = 0
        self.jumps: list[tuple[int, int]] = []
        self._simulated = 0
        self._began = 0.0

    def take(self) -> None:
        """Take what has come."""
        while (message := self._next()) is not None:
            self._add(message.clock.sec * 10**9 + message.clock.nanosec)

    @property
    def rate(self) -> float:
        """Messages in a second of real time [Hz]."""
        span = time.monotonic() - self._began
        return self.count / span if self.count and span > 0 else 0.0

    @property
    def factor(self) -> float:
        """Simulated by real time; jumps count for nothing."""
        span = time.monotonic() - self._began
        return self._simulated * 1e-9 / span if self.count and span > 0 else 0.0

    @property
    def publishers(self) -> list[str]:
        """Names of the nodes that set the time."""
        infos = self._node.get_publishers_info_by_topic(CLOCK_TOPIC)
        return sorted(f"{one.node_namespace.rstrip('/')}/{one.node_name}" for one in infos)

    def _next(self) -> Any:
        with self._subscription.handle:
            taken = self._subscription.handle.take_message(Clock, False)
        return taken and taken[0]

    def _add(self, now: int) -> None:
        if not self.count:
            self._began = time.monotonic()
            self.first = now
        elif now < self.last:
            self.jumps.append((self.last, now))
        else:
            self._simulated += now - self.last
        self.count, self.last = self.count + 1, now
