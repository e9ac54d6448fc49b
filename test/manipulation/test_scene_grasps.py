# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Planned grasps against geometry that is known."""

import numpy as np
import pytest
from simulated import seen

from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.manipulation.scene_grasps import plan_grasps
from molmo_ros.regions.region import ObjectRegion, PointsOn, SceneRegions


@pytest.fixture(scope="module")
def planned():
    scene, _, regions = seen(5)
    return scene, plan_grasps(regions, Gripper())


def test_grasps_from_above_stand_on_the_supports_normal(planned):
    scene, objects = planned
    up = scene.camera.world_from_optical.T @ (0, 0, 1)
    for grasps in objects:
        assert grasps.grasps and not grasps.reason
        best = grasps.grasps[0]
        assert best.optical_from_grasp.rotate(np.array([[0, 0, 1]]))[0] == pytest.approx(-up, abs=1e-6)
        assert best.width < best.opening <= Gripper().opening


def test_a_gripper_that_does_not_open_far_enough_says_both_widths():
    _, _, regions = seen(5)
    for grasps in plan_grasps(regions, Gripper(opening=0.03)):
        assert not grasps.grasps and "the gripper opens to 0.03 m" in grasps.reason


def test_no_region_no_grasp():
    nothing = ObjectRegion.none(PointsOn.NOTHING, "nothing is there")
    (grasps,) = plan_grasps(SceneRegions(np.zeros((4, 4, 3), np.float32), (), (nothing,)), Gripper())
    assert grasps.reason == grasps.suction_reason == "nothing is there" and not grasps.grasps
