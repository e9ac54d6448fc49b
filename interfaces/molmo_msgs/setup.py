# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Only for pip, on a machine whose ROS came by pip; colcon takes CMakeLists.txt."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from rosidl_wheel import setup_interfaces  # noqa: E402

setup_interfaces(HERE)
