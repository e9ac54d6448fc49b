# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Queries over a recorded bag, and their results as a new bag. Needs ROS's messages, and no middleware."""
