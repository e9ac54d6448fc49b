# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A managed node as rclpy should have it, and what runs its callbacks."""
