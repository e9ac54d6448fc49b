# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A table with one cube and the hand above it."""

from dataclasses import asdict

import numpy as np

from molmo_ros.geometry import RigidTransform
from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.sim.hand import Hand, HandMeasures, hand_mjcf
from molmo_ros.sim.objects import make_object
from molmo_ros.sim.picking_table import PickingTable
from molmo_ros.sim.scene import random_camera, random_look

MEASURES = HandMeasures(**asdict(Gripper()))
DOWN = (1.0, 0.0, 0.0, 0.0)


def table_of(*things: tuple[str, float, float]) -> PickingTable:
    """Things by shape and place [m]; the first is asked for."""
    rng = np.random.default_rng(4)
    objects = [make_object("red", shape, rng) for shape, _, _ in things]
    poses = [f'pos="{x} {y} 0.002" euler="0 0 0"' for _, x, y in things]
    camera, _ = random_camera(rng)
    table = PickingTable(objects, poses, "", camera, random_look(rng), hand_mjcf(MEASURES))
    table.hand, table.asked, table.cluttered = Hand(table.model, table.data), 0, False
    run(table.hand.wait(0.5))
    return table


def run(motion) -> int:
    """Carries a motion out; returns its steps."""
    return sum(1 for _ in motion)


def lift(table: PickingTable, x: float, y: float, z: float, close: bool = True) -> np.ndarray:
    """Straight down there, closes, lifts by 20 cm, waits a second; how high each thing stayed [m]."""
    before, hand = table.heights(), table.hand
    for place in ((x, y, 0.3), (x, y, z)):
        run(hand.move(RigidTransform(place, DOWN)))
    if close:
        run(hand.open(0.0))
    run(hand.move(RigidTransform((x, y, z + 0.2), DOWN)))
    lowest = np.full(len(before), np.inf)
    for _ in hand.wait(1.0):
        lowest = np.minimum(lowest, table.heights() - before)
    return lowest
