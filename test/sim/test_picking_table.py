# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Tables to pick from, and the hand above them: equal for equal seeds, and honest physics."""

from dataclasses import asdict

import numpy as np
import pytest

from molmo_ros.geometry import RigidTransform
from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.sim.hand import HandMeasures
from molmo_ros.sim.picking_table import FEWEST, MOST, PickingTable
from molmo_ros.sim.true_grasps import GraspTruth

MEASURES = HandMeasures(**asdict(Gripper()))
SEEDS = range(500, 504)
AWAY = 0.1


@pytest.fixture
def table():
    return PickingTable.of(SEEDS[0], MEASURES)


def run(motion):
    for _ in motion:
        pass


def raised(pose, by):
    x, y, z = pose.translation
    return RigidTransform((x, y, z + by), pose.rotation)


def grip_and_lift(table, close):
    """How far each object rises when the hand goes to the best grasp, closes or not, and goes up [m]."""
    before, best = table.heights(), GraspTruth(table, MEASURES).best(table.asked)
    hand, pose = table.hand, best.world_from_grasp
    run(hand.open(MEASURES.opening))
    run(hand.move(raised(pose, AWAY)))
    run(hand.move(pose))
    if close:
        run(hand.open(0.0))
    run(hand.move(raised(pose, 0.2)))
    run(hand.wait(1.0))
    return table.heights() - before


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_seeds_give_equal_tables(seed):
    first, second = PickingTable.of(seed, MEASURES), PickingTable.of(seed, MEASURES)
    assert np.array_equal(first.view.rgb, second.view.rgb)
    assert np.array_equal(first.data.qpos, second.data.qpos)
    assert first.name == second.name
    assert [one.name for one in first.objects].count(first.name) == 1
    assert FEWEST <= len(first.objects) <= MOST
    assert (first.view.segmentation == first.asked).any()


def test_what_is_gripped_comes_along_alone(table):
    rises = grip_and_lift(table, close=True)
    assert rises[table.asked] > 0.15
    assert np.delete(rises, table.asked).max(initial=0.0) < 0.02
    assert table.hand.opening > 0.01
    assert table.hand.force > 5


def test_an_open_hand_lifts_nothing(table):
    rises = grip_and_lift(table, close=False)
    assert rises.max() < 0.02


def test_fingers_with_nothing_between_them_meet(table):
    run(table.hand.open(0.05))
    assert table.hand.opening == pytest.approx(0.05, abs=0.002)
    run(table.hand.open(0.0))
    assert table.hand.opening < 0.002


def test_a_hand_that_opens_too_little_has_no_grasp():
    small = HandMeasures(**{**asdict(MEASURES), "opening": 0.015})
    table = PickingTable.of(SEEDS[0], small)
    assert not GraspTruth(table, small).exists(table.asked)


def test_the_true_geometry_says_what_the_hand_would_hit(table):
    truth = GraspTruth(table, MEASURES)
    best = truth.best(table.asked)
    assert truth.obstacles(best.world_from_grasp, best.opening) == set()
    assert truth.held(table.asked, best.world_from_grasp) is not None
    x, y, z = table.object_position(table.asked)
    turned = RigidTransform((x, y, -0.01), best.world_from_grasp.rotation)
    assert -1 in truth.obstacles(turned, MEASURES.opening)
    aside = RigidTransform((x + 1.0, y, z), best.world_from_grasp.rotation)
    assert truth.held(table.asked, aside) is None


def test_from_another_side_it_is_the_same_table(table):
    first, places = table.view, [table.object_position(i) for i in range(len(table.objects))]
    table.look_from(np.pi / 4)
    assert not np.array_equal(table.view.rgb, first.rgb)
    assert table.camera.position[2] == pytest.approx(table.first_camera.position[2])
    away = [np.linalg.norm(camera.position[:2]) for camera in (table.camera, table.first_camera)]
    assert away[0] == pytest.approx(away[1])
    assert np.allclose(table.camera.world_from_optical.T @ table.camera.world_from_optical, np.eye(3))
    # Each object is seen where the camera's own geometry has it.
    k = table.camera.intrinsics(*first.rgb.shape[1::-1])
    for index, place in enumerate(places):
        rows, columns = np.nonzero(table.view.segmentation == index)
        if len(rows) > 2000:
            u, v, w = k @ (table.camera.world_from_optical.T @ (place - table.camera.position))
            assert abs(columns.mean() - u / w) < 25
            assert abs(rows.mean() - v / w) < 25
    table.look_from(0.0)
    assert np.array_equal(table.view.rgb, first.rgb)
