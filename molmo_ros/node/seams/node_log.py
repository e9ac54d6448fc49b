# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where the node's parts say what happens."""

from __future__ import annotations

from typing import Protocol


class NodeLog(Protocol):
    """What is used of rclpy's logger."""

    def debug(self, message: str, /, *, throttle_duration_sec: float = 0.0) -> object:
        """For developers."""

    def warning(self, message: str, /, *, throttle_duration_sec: float = 0.0) -> object:
        """Something is not as it should be, and the node goes on."""

    def error(self, message: str, /, *, throttle_duration_sec: float = 0.0) -> object:
        """Something has failed."""
