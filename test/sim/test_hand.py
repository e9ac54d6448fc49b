# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The hand: what it holds stays held, what it does not hold stays where it is."""

import mujoco
import numpy as np
import pytest

from molmo_ros.geometry import RigidTransform
from molmo_ros.sim.hand import FORCE, HOME, hand_mjcf
from molmo_ros.sim.renderer import render

from .hand_table import DOWN, MEASURES, lift, run, table_of


@pytest.fixture
def table():
    table = table_of(("cube", 0.0, 0.0))
    run(table.hand.open(MEASURES.opening))
    return table


def test_a_gripped_cube_stays_when_lifted(table):
    edge = 2 * table.heights()[0]
    assert lift(table, 0.0, 0.0, 0.02)[0] == pytest.approx(0.2, abs=0.01)
    assert table.hand.opening == pytest.approx(edge, abs=0.004), (
        "the fingers are as far apart as the cube is wide"
    )
    assert 0.5 * FORCE < table.hand.force <= FORCE + 1e-6


def test_an_open_hand_lifts_nothing(table):
    assert abs(lift(table, 0.0, 0.0, 0.02, close=False)[0]) < 0.005


def test_a_hand_that_closes_beside_the_cube_lifts_nothing(table):
    assert abs(lift(table, 0.12, 0.0, 0.02)[0]) < 0.005
    assert table.hand.opening < 0.004


def test_without_friction_the_cube_stays_on_the_table(table):
    table.model.geom_friction[table.hand.geoms] = (1e-4, 1e-5, 1e-5)
    assert lift(table, 0.0, 0.0, 0.02)[0] < 0.05


def test_it_goes_where_it_is_told_and_turns(table):
    half_turn = RigidTransform((0.1, -0.1, 0.3), (0.0, 1.0, 0.0, 0.0))
    run(table.hand.move(half_turn))
    here = table.hand.world_from_hand
    np.testing.assert_allclose(here.translation, half_turn.translation, atol=0.002)
    assert abs(np.dot(here.rotation, half_turn.rotation)) == pytest.approx(1, abs=1e-4)


def test_what_stands_in_the_way_ends_a_motion(table):
    run(table.hand.move(RigidTransform((0.2, 0.2, -0.2), DOWN), speed=0.2))
    assert table.hand.world_from_hand.translation[2] > -0.1, "it does not go on pushing"


def test_its_measures_are_those_of_the_gripper(table):
    """Rays from outside, against what the geometry says."""

    def ray(start, direction):
        geom = np.array([-1], np.int32)
        distance = mujoco.mj_ray(
            table.model, table.data, np.array(start), np.array(direction), None, 1, -1, geom, None
        )
        return distance if geom[0] in table.hand.geoms else None

    table.hand.put(RigidTransform((0.2, 0.0, 0.3), DOWN), MEASURES.opening)
    middle = (0.2, 0.0, 0.3 + 0.02)
    assert 2 * ray(middle, (0.0, 1.0, 0.0)) == pytest.approx(MEASURES.opening, abs=1e-6)
    outside = ray((0.2, 0.5, 0.32), (0.0, -1.0, 0.0))
    assert 0.5 - outside == pytest.approx(MEASURES.opening / 2 + MEASURES.finger_thickness, abs=1e-6)
    assert ray((0.2, 0.0, 0.2), (0.0, 0.0, 1.0)) == pytest.approx(0.1 + MEASURES.finger_depth, abs=1e-6)
    assert ray((0.2, 0.05, 0.2), (0.0, 0.0, 1.0)) == pytest.approx(0.1, abs=1e-6), "a fingertip is at z = 0"


def test_at_home_it_is_in_no_picture(table):
    table.hand.put(HOME, MEASURES.opening)
    seen = render(table, 160, 120).rgb
    table.hand.put(RigidTransform((0.0, 0.0, 15.0), DOWN), 0.0)
    np.testing.assert_array_equal(render(table, 160, 120).rgb, seen)
    table.hand.put(RigidTransform((0.0, 0.0, 0.05), DOWN), 0.0)
    assert (render(table, 160, 120).rgb != seen).any()


def test_the_model_says_the_force_that_it_takes():
    assert hand_mjcf(MEASURES).count(f'forcerange="{-FORCE} {FORCE}"') == 2
