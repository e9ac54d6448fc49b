# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From points to objects: which pixels and which surface of a depth image are the thing that was pointed at.

Pure functions on numpy arrays, no ROS and no torch.
"""
