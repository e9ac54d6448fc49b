"""The heartbeat that a life-cycle manager, such as nav2's, watches an active node by.

It needs bondpy (apt: ros-DISTRO-bondpy); without it there is none, and a manager must be told so by
`bond_timeout: 0.0`.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

TOPIC = "bond"
"""Where managers listen, relative to the namespace."""
HEARTBEAT_PERIOD = 0.1
"""As nav2's own nodes beat [s]; its manager gives up after `bond_timeout`, 4 s by default."""
HEARTBEAT_TIMEOUT = 4.0
"""How long the manager may be silent until the bond counts as broken [s]."""


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

    Made and closed in the thread of the node's executor: one that is waiting must not lose its entities.

    Args:
        node: An rclpy node.
        bondpy: The module `bondpy.bondpy`.
    """

    def __init__(self, node: Any, bondpy: Any) -> None:
        self._node = node
        self._formed = self._closing = False
        self._bond = bondpy.Bond(
            node, TOPIC, node.get_name(), on_broken=self._on_broken, on_formed=self._on_formed
        )
        self._bond.heartbeat_period = HEARTBEAT_PERIOD
        self._bond.heartbeat_timeout = HEARTBEAT_TIMEOUT
        self._bond.start()

    def close(self) -> None:
        self._closing = True
        self._bond.shutdown()
        # It has destroyed them, but the node still lists them, and its executor would stumble over them.
        self._node.destroy_subscription(self._bond.sub)
        self._node.destroy_publisher(self._bond.pub)

    def _on_formed(self) -> None:
        self._formed = True
        self._node.get_logger().debug("the life-cycle manager listens to the bond")

    def _on_broken(self) -> None:
        # A node that nobody manages waits in vain for the other end, which is no news.
        if self._formed and not self._closing:
            self._node.get_logger().warning("the life-cycle manager has gone; the node goes on")


def start_bond(node: Any) -> BondHandle:
    """Begin to beat, on activation; `close` it on deactivation, cleanup and shutdown.

    Args:
        node: An rclpy node.
    """
    try:
        bondpy = importlib.import_module("bondpy.bondpy")
    except ImportError as error:
        node.get_logger().debug(f"no bond with a life-cycle manager: {error}")
        return NoBond()
    return NodeBond(node, bondpy)
