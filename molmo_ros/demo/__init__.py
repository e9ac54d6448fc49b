# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`make demo`: a simulated camera, the node and a user, each a process of its own, over real ROS 2."""
