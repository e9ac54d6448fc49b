# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What people are told when the node's clock goes back, or is replaced."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.clock import ClockChange, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node

from molmo_ros.node.lifecycle.clock_state import CLOCK_TOPIC, ClockState

TOLD_EVERY = 10.0
"""How often the log tells of a jump [s]: between two sources of the time it jumps with every message."""


class ClockJumps:
    """Follows a node's clock; tells of jumps in its log, the first at once.

    Attributes:
        listeners: Called with each jump, in their order, with how far the clock went back [ns]; 0 where another clock
            took over.
    """

    def __init__(self, node: Node) -> None:
        self.listeners: list[Callable[[int], None]] = []
        self._node, self._state = node, ClockState(node)
        self._untold, self._due = 0, 0.0
        # rclpy keeps no reference to the handle's owner: without the attribute the callback would vanish.
        self._handle = node.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True),
            post_callback=self._on_jump,
        )

    def close(self) -> None:
        """Follow it no more."""
        self._handle.unregister()

    def _on_jump(self, jump: TimeJump) -> None:
        for listener in tuple(self.listeners):
            listener(-jump.delta.nanoseconds)
        self._tell(jump)

    def _tell(self, jump: TimeJump) -> None:
        now = time.monotonic()
        if now < self._due:
            self._untold += 1
            return
        more = f", and {self._untold} more jumps since the last word about it" if self._untold else ""
        self._untold, self._due = 0, now + TOLD_EVERY
        self._node.get_logger().warning(
            f"{self._what(jump)}{more}: frames from before are forgotten{self._who()}"
        )

    def _what(self, jump: TimeJump) -> str:
        if jump.clock_change is ClockChange.ROS_TIME_ACTIVATED:
            return f"the clock is now that of {CLOCK_TOPIC}"
        if jump.clock_change is ClockChange.ROS_TIME_DEACTIVATED:
            return "the clock is now the system's"
        there = self._node.get_clock().now().nanoseconds
        return f"the clock went back from {(there - jump.delta.nanoseconds) * 1e-9:.3f} s to {there * 1e-9:.3f} s"

    def _who(self) -> str:
        """Who sets the time, where there are several."""
        return f". {rivals}" if (rivals := self._state.rivals()) else ""
