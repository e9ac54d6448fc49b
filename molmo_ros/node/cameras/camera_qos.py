# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How cameras are listened to, and what the user's `qos_overrides` change of it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

PREFIX = "qos_overrides."
POLICIES = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)
VALUES = {
    "history": HistoryPolicy,
    "reliability": ReliabilityPolicy,
    "durability": DurabilityPolicy,
}
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
"""For what was published once, before this node came: a volatile reader never hears it."""


def sensor_data() -> QoSProfile:
    """Best effort and volatile, as cameras publish (REP-2003); a new one each time, because overrides change it."""
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def listen(
    node: Node, kind: type, topic: str, callback: Callable[[Any], None], group: CallbackGroup
) -> Subscription:
    """A subscription to a camera's topic, as `qos_overrides` want it; a value that is none is logged and left out."""

    def make(options: QoSOverridingOptions | None) -> Subscription:
        return node.create_subscription(
            kind, topic, callback, sensor_data(), callback_group=group, qos_overriding_options=options
        )

    try:
        return make(QoSOverridingOptions(POLICIES, callback=_with_history))
    except RuntimeError as error:  # rclpy's word for a name that is none
        valid = "; ".join(f"{name}: {', '.join(_names(enum))}" for name, enum in VALUES.items())
        node.get_logger().error(f"qos_overrides of {topic} are left out: {error}; valid are {valid}")
        return make(None)


def listen_latched(
    node: Node, kind: type, topic: str, callback: Callable[[Any], None], group: CallbackGroup
) -> Subscription | None:
    """A subscription beside the other one that hears what was sent before; None where no publisher keeps it.

    Made only then: a reader that wants history does not match others, and both sides would log that.
    """
    if not any(
        info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        for info in node.get_publishers_info_by_topic(node.resolve_topic_name(topic))
    ):
        return None
    return node.create_subscription(kind, topic, callback, LATCHED, callback_group=group)


def warn_of_unknown_overrides(node: Node) -> None:
    """Logs those `qos_overrides` that no topic of the node has taken, with those that there are."""
    given = [name for name in getattr(node, "_parameter_overrides", {}) if name.startswith(PREFIX)]
    unknown = [name for name in given if not node.has_parameter(name)]
    if unknown:
        known = sorted(node.get_parameters_by_prefix(PREFIX.rstrip(".")))
        node.get_logger().warning(
            f"no topic takes {', '.join(unknown)}; known: {', '.join(PREFIX + name for name in known)}"
        )


def _with_history(profile: QoSProfile) -> SetParametersResult:
    """What was sent before is sent again only to reliable readers."""
    if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        profile.reliability = ReliabilityPolicy.RELIABLE
    return SetParametersResult(successful=True)


def _names(enum: type[Enum]) -> list[str]:
    return [one.name.lower() for one in enum if one.name not in ("UNKNOWN", "BEST_AVAILABLE")]
