# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whether a grasp exists, by geometry: what it finds lifts in physics, and it can say no."""

from dataclasses import replace

import numpy as np
import pytest

from molmo_ros.geometry import RigidTransform
from molmo_ros.sim.picking_table import PickingTable
from molmo_ros.sim.true_grasps import GraspTruth

from .hand_table import DOWN, MEASURES, run, table_of


def test_a_cube_alone_can_be_gripped_and_its_width_is_its_edge():
    table = table_of(("cube", 0.0, 0.0))
    best = GraspTruth(table, MEASURES).best(0)
    assert best.width == pytest.approx(2 * table.heights()[0], rel=0.05)


def test_walled_in_or_too_large_it_cannot():
    walls = [("cube", 0.07 * x, 0.07 * y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)]
    assert not GraspTruth(table_of(("cube", 0.0, 0.0), *walls), MEASURES).exists(0)
    narrow = replace(MEASURES, opening=0.03)
    assert not GraspTruth(table_of(("cube", 0.0, 0.0)), narrow).exists(0)


def test_obstacles_are_what_the_open_hand_is_in():
    truth = GraspTruth(table_of(("cube", 0.0, 0.0), ("cylinder", 0.0, 0.15)), MEASURES)
    assert truth.obstacles(RigidTransform((0.0, 0.0, 0.02), DOWN), MEASURES.opening) == set()
    assert truth.obstacles(RigidTransform((0.0, 0.05, 0.02), DOWN), MEASURES.opening) == {0}
    assert truth.obstacles(RigidTransform((0.0, 0.11, 0.02), DOWN), MEASURES.opening) == {1}
    assert truth.obstacles(RigidTransform((0.2, 0.0, -0.01), DOWN), MEASURES.opening) == {-1}


def test_pads_beside_the_object_hold_nothing():
    truth = GraspTruth(table_of(("cube", 0.0, 0.0)), MEASURES)
    assert truth.held(0, RigidTransform((0.0, 0.0, 0.02), DOWN)) is not None
    assert truth.held(0, RigidTransform((0.08, 0.0, 0.02), DOWN)) is None


def test_looking_moves_nothing():
    table = table_of(("cube", 0.0, 0.0))
    before = table.data.qpos.copy()
    GraspTruth(table, MEASURES).best(0)
    np.testing.assert_array_equal(table.data.qpos, before)


def test_physics_alone_lifts_what_geometry_says():
    for seed in range(300, 302):
        table = PickingTable.of(seed, MEASURES)
        grasp = GraspTruth(table, MEASURES).best(table.asked)
        before, hand, turn = table.heights(), table.hand, grasp.world_from_grasp.rotation
        back = grasp.world_from_grasp.apply(np.array([[0.0, 0.0, -0.12]]))[0]
        x, y, z = grasp.world_from_grasp.translation
        run(hand.open(grasp.opening))
        for place in ((back[0], back[1], 0.35), tuple(back), (x, y, z)):
            run(hand.move(RigidTransform(place, turn)))
        run(hand.open(0.0))
        run(hand.move(RigidTransform((x, y, z + 0.2), turn)))
        run(hand.wait(1.0))
        assert table.heights()[table.asked] - before[table.asked] > 0.1, table.name
