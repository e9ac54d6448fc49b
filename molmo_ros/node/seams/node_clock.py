# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The node's time."""

from __future__ import annotations

from typing import Protocol


class NodeClock(Protocol):
    """What is used of rclpy's clock and context."""

    def now(self) -> int:
        """The node's time [ns], which may be that of a simulation."""

    def ok(self) -> bool:
        """Whether ROS still runs: nothing can be sent afterwards."""
