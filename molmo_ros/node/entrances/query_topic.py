# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The topic `query`, heard from reliable and from best-effort publishers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from std_msgs.msg import String

BURST = 1000
"""Queries that the middleware holds until they are taken, so that each of a burst is heard."""


class QueryTopic:
    """Hands on each message once.

    A reliable subscription loses nothing of a burst, and hears no best-effort publisher; a best-effort one hears all.
    What both hear is one message: it has the publisher's time of sending, which no two messages of a publisher share.

    Args:
        node: The node.
        on_message: Called with each std_msgs/String.
    """

    def __init__(self, node: Node, on_message: Callable[[String], None]) -> None:
        self._node, self._on_message = node, on_message
        self._heard: deque[tuple[int, int]] = deque(maxlen=2 * BURST)
        kinds, on_sent = [ReliabilityPolicy.RELIABLE], cast(Callable[..., None], on_message)
        if hasattr(Subscription, "CallbackType"):  # rclpy of Humble does not say when a message was sent
            kinds.append(ReliabilityPolicy.BEST_EFFORT)
            on_sent = self._on_sent_message  # rclpy looks how many arguments it takes
        group = MutuallyExclusiveCallbackGroup()
        self._subscriptions = [
            node.create_subscription(
                String,
                "query",
                on_sent,
                QoSProfile(depth=BURST, reliability=kind),
                callback_group=group,
            )
            for kind in kinds
        ]

    def close(self) -> None:
        """Listen no more."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _on_sent_message(self, message: String, info: Mapping[str, int]) -> None:
        sent = (
            info["source_timestamp"],
            hash(message.data),
        )  # not the text itself, which may be of any length
        if sent not in self._heard:
            self._heard.append(sent)
            self._on_message(message)
