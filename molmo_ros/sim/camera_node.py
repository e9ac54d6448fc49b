# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The simulated camera's process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from molmo_ros.sim.node_process import run_node

if TYPE_CHECKING:
    from molmo_ros.sim.sim_camera import SimCamera


def main() -> int:
    """Run the camera until SIGINT, SIGTERM or a shutdown of its context.

    Returns:
        The exit code: 0, or 2 for a refused parameter or ROS argument.
    """
    return run_node("molmo_sim_camera", _camera)


def _camera() -> SimCamera:
    try:
        from molmo_ros.sim.sim_camera import SimCamera
    except ModuleNotFoundError as error:
        if error.name != "mujoco":
            raise
        raise RuntimeError(
            f"MuJoCo, which renders the table, is not installed for {sys.executable}; it comes with "
            f"{sys.executable} -m pip install -r requirements/sim.txt"
        ) from error
    return SimCamera()


if __name__ == "__main__":
    sys.exit(main())
