# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A node whose callbacks run in a thread of their own, until ROS ends."""

from __future__ import annotations

import threading

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

CLOSE_TIMEOUT = 5.0
"""How long the last callback may take when all ends [s]."""


class SpinThread:
    """Runs a node's callbacks from now on.

    Args:
        node: The node.
    """

    def __init__(self, node: Node) -> None:
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name="ros", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End ROS in this process, and wait for the last callback."""
        rclpy.try_shutdown()
        self._thread.join(CLOSE_TIMEOUT)

    def _spin(self) -> None:
        try:
            while rclpy.ok():  # with a time-out: the wake-up of a shutdown may be lost
                self._executor.spin_once(timeout_sec=0.2)
        except ExternalShutdownException:
            return
