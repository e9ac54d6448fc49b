# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The heartbeat that a life-cycle manager, such as nav2's, watches an active node by.

It needs bondpy (apt: ros-DISTRO-bondpy); without it there is none, and a manager must be told so by
`bond_timeout: 0.0`.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from molmo_ros.node import installed_ros

TOPIC = "bond"
"""Where managers listen, relative to the namespace."""
HEARTBEAT_PERIOD = 0.1
"""As nav2's own nodes beat [s]; its manager gives up after `bond_timeout`, 4 s by default."""
HEARTBEAT_TIMEOUT = 4.0
"""How long the manager may be silent until the bond counts as broken [s]."""

SPIN_TIMEOUT = 0.2
"""How long the executor waits for a message before it looks whether it is to end [s]."""
CLOSE_TIMEOUT = 2.0
"""How long `close` waits for the last callback [s]."""


class BondHandle(Protocol):
    """What keeps a bond."""

    def close(self) -> None:
        """End the bond, so that the manager learns of it at once."""


class NoBond:
    """Where bondpy is not installed."""

    def close(self) -> None:
        pass


class NodeBond:
    """A bond of a node under its own name, as managers look for it.

    It lives in a hidden node with an executor of its own: bondpy destroys its topics behind its node's back, on
    which an executor that waits for them fails.

    Args:
        node: An rclpy node.
        bondpy: The module `bondpy.bondpy`.
    """

    def __init__(self, node: Node, bondpy: Any) -> None:
        self._log = node.get_logger()
        self._formed = self._closed = False
        self._host = Node(
            f"_{node.get_name()}_bond",
            namespace=node.get_namespace(),
            context=node.context,
            use_global_arguments=False,  # they would give it the node's own name
            enable_rosout=False,
            start_parameter_services=False,
        )
        self._bond = bondpy.Bond(
            self._host, TOPIC, node.get_name(), on_broken=self._on_broken, on_formed=self._on_formed
        )
        self._bond.heartbeat_period = HEARTBEAT_PERIOD
        self._bond.heartbeat_timeout = HEARTBEAT_TIMEOUT
        self._bond.start()
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(self._host)
        self._thread = threading.Thread(target=self._spin, name="molmo_bond", daemon=True)
        self._thread.start()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._executor.wake()
        self._thread.join(CLOSE_TIMEOUT)
        self._executor.shutdown(timeout_sec=CLOSE_TIMEOUT)
        self._bond.shutdown()
        self._host.destroy_node()

    def _spin(self) -> None:
        # rclpy may lose the wake-up of a shutdown: nobody waits for ever, here or in `close`.
        while not self._closed:
            try:
                self._executor.spin_once(timeout_sec=SPIN_TIMEOUT)
            except (ExternalShutdownException, ShutdownException):
                return
            except Exception as error:  # anyone may send what bondpy was not made for
                self._log.error(f"topic {TOPIC}: {type(error).__name__}: {error}", throttle_duration_sec=10.0)

    def _on_formed(self) -> None:
        self._formed = True
        self._log.debug("the life-cycle manager listens to the bond")

    def _on_broken(self) -> None:
        # A node that nobody manages waits in vain for the other end, which is no news.
        if self._formed and not self._closed:
            self._log.warning("the life-cycle manager has gone; the node goes on")


def start_bond(node: Node) -> BondHandle:
    """Begin to beat, on activation; `close` it on deactivation, cleanup and shutdown.

    Args:
        node: An rclpy node.
    """
    package = installed_ros.module("bondpy")
    return NodeBond(node, package.bondpy) if package else NoBond()
