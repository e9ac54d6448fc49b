# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where messages go: the middleware, or a bag."""

from __future__ import annotations

from typing import Any, Protocol

from rclpy.duration import Duration


class Publisher(Protocol):
    """What is used of rclpy's publisher."""

    @property
    def topic_name(self) -> str:
        """The whole name of the topic."""

    def publish(self, message: Any) -> None:
        """Send a message of the topic's type."""

    def get_subscription_count(self) -> int:
        """How many listen."""

    def wait_for_all_acked(self, timeout: Duration) -> bool:
        """Wait until all who listen have all messages; False where some had not in time."""


class Publishing(Protocol):
    """What is used of rclpy's node."""

    def create_publisher(self, kind: type, name: str, depth: int, /) -> Publisher:
        """A reliable publisher of messages of a kind; `~` is the node's name."""

    def destroy_publisher(self, publisher: Any, /) -> object:
        """End a publisher."""
