# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A model that a server on the network runs, asked like one of this machine: no torch, no weights, no ROS."""
