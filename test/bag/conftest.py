# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A simulated table to record, and what a run about it has written."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("rosbags")
sys.path.insert(0, str(Path(__file__).parent))

from molmo_ros.sim.renderer import render  # noqa: E402
from molmo_ros.sim.scene import Scene  # noqa: E402


@pytest.fixture(scope="session")
def scene():
    return Scene.random(0)  # with one mug


@pytest.fixture(scope="session")
def table(scene):
    return render(scene, 640, 480)


@pytest.fixture(scope="session")
def mug(scene, table):
    """bool [h, w]: where the mug is."""
    index = next(n for n, one in enumerate(scene.objects) if "mug" in one.name)
    return np.asarray(table.segmentation == index)
