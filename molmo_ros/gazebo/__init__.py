# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Gazebo's worlds as their files say: what a launch needs of them, and answers held against them."""
