# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Builds a ROS 2 interface package into a wheel, with nothing but the ROS wheels and a C++ compiler.

On an installed ROS 2 colcon and CMake build the same folders; this is for machines whose ROS came by pip.
"""

from .wheel import setup_interfaces

__all__ = ["setup_interfaces"]
