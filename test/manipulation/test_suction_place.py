# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Flat discs for a suction cup, on bodies whose flat parts are known."""

import numpy as np
import pytest
from simulated import plane_of, seen

from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.manipulation.scene_grasps import plan_grasps


def test_a_cube_takes_a_cup_on_a_face_and_z_points_into_it():
    scene, _, regions = seen(5)
    up = np.asarray(plane_of(scene.camera).normal)
    for thing, grasps in zip(scene.objects, plan_grasps(regions, Gripper()), strict=True):
        assert thing.shape == "cube" and not grasps.suction_reason
        into = grasps.suction.optical_from_suction.rotate(np.array([[0, 0, 1]]))[0]
        assert into[2] > 0  # away from the camera
        assert abs(into @ up) == pytest.approx(0, abs=0.1) or abs(into @ up) == pytest.approx(1, abs=0.02)
        half = thing.size / 1.3
        assert 0.4 * half < grasps.suction.radius < 1.15 * half
