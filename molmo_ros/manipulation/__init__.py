# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a gripper can do with a region: close on it, suck at it, put something down beside it.

Pure functions on numpy arrays, no ROS and no torch.
"""
