# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Grasps by the simulator's own geometry: whether a thing can be taken hold of at all, whoever plans it.

A pose counts where the open hand and its straight way there touch nothing, and both pads meet the object alone, on
faces that friction holds. Poses are tried about the middles of the object's geoms, straight down and tilted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import mujoco
import numpy as np

from molmo_ros.geometry import RigidTransform, quaternion
from molmo_ros.sim.hand import HOME, SLIDING_FRICTION, Hand, HandMeasures
from molmo_ros.sim.picking_table import PickingTable

TURNS = 12
"""Directions of the closing axis, over half a turn."""
TILTS = (0.0, math.radians(25), math.radians(-25), math.radians(50), math.radians(-50))
"""Of the approach axis against the vertical, about the closing axis [rad]."""
DEPTHS = (0.04, 0.025, 0.012)
"""How far the fingertips reach below the top of what is gripped [m]."""
TABLE_GAP = 0.003
"""Between the lowest edge of a finger and the table, at least [m]."""
ROOM = 0.008
"""Of the open fingers on both sides of the object together [m]."""
WAY = (0.0, 0.03, 0.07, 0.12)
"""Places on the way to a grasp, back from it [m]."""
STEEPEST = math.atan(SLIDING_FRICTION) * 0.8
"""Between the closing axis and a face that is gripped [rad]."""
REACH = 0.5
"""Of a ray [m]."""
FEWEST_RAYS = 3
"""Of the nine across the pads, so many meet the object on both sides."""


@dataclass(frozen=True)
class TrueGrasp:
    """A pose that the geometry allows.

    Attributes:
        world_from_grasp: The hand's pose.
        width: Of the object between the pads [m].
        opening: Of the hand before it closes [m].
        hold: How well the pads meet the object: the share of them that does, less for a grip far from its middle.
    """

    world_from_grasp: RigidTransform
    width: float
    opening: float
    hold: float


class GraspTruth:
    """Looks at one table as it stands; nothing of it moves."""

    def __init__(self, table: PickingTable, measures: HandMeasures):
        self._table, self._measures = table, measures
        self._data = mujoco.MjData(table.model)
        mujoco.mj_copyData(self._data, table.model, table.data)
        self._shadow = Hand(table.model, self._data)
        self._shadow.put(HOME, 0.0)

    def grasps(self, index: int) -> Iterator[TrueGrasp]:
        """All grasps of an object that are found, in no order."""
        for world_from_grasp in self._poses(index):
            held = self.held(index, world_from_grasp)
            if held is None:
                continue
            width, hold = held
            opening = min(width + 2 * ROOM, self._measures.opening)
            if width + ROOM <= self._measures.opening and not self.obstacles(world_from_grasp, opening):
                yield TrueGrasp(world_from_grasp, width, opening, hold)

    def exists(self, index: int) -> bool:
        return next(self.grasps(index), None) is not None

    def best(self, index: int) -> TrueGrasp | None:
        """The one that holds best."""
        return max(self.grasps(index), key=lambda grasp: grasp.hold, default=None)

    def obstacles(self, world_from_grasp: RigidTransform, opening: float) -> set[int]:
        """What the open hand is in, there or on its straight way: indices of objects; -1 for the table."""
        met: set[int] = set()
        for back in WAY:
            x, y, z = world_from_grasp.apply(np.array([[0.0, 0.0, -back]]))[0].tolist()
            self._shadow.put(RigidTransform((x, y, z), world_from_grasp.rotation), opening)
            for contact in self._data.contact[: self._data.ncon]:
                first, second = int(contact.geom1), int(contact.geom2)
                if (first in self._shadow.geoms) != (second in self._shadow.geoms) and contact.dist < 0:
                    other = second if first in self._shadow.geoms else first
                    met.add(int(self._table.geom_object[other]))
        self._shadow.put(HOME, 0.0)
        return met

    def held(self, index: int, world_from_grasp: RigidTransform) -> tuple[float, float] | None:
        """Width of the object between the pads [m], and how well they hold it; None where they would not."""
        half, across = self._measures.opening / 2, world_from_grasp.rotate(np.array([[0.0, 1.0, 0.0]]))[0]
        near, far = [], []
        for x, z in self._pad():
            ends = world_from_grasp.apply(np.array([[x, -half, z], [x, half, z]]))
            one, other = self._first_of(index, ends[0], across), self._first_of(index, ends[1], -across)
            if one is None or other is None:
                continue
            if min(abs(float(normal @ across)) for _, normal in (one, other)) > math.cos(STEEPEST):
                near.append(one[0])
                far.append(2 * half - other[0])
        if len(near) < FEWEST_RAYS:
            return None
        off = np.linalg.norm(np.subtract(world_from_grasp.translation, self._table.object_position(index)))
        return max(far) - min(near), len(near) / 9 - float(off) * 5

    def _pad(self) -> Iterator[tuple[float, float]]:
        """x and z in the hand's frame of nine places across a pad [m]."""
        for across in (-0.4, 0.0, 0.4):
            for up in (0.1, 0.3, 0.6):
                yield across * self._measures.finger_width, -up * self._measures.finger_depth

    def _first_of(
        self, index: int, start: np.ndarray, direction: np.ndarray
    ) -> tuple[float, np.ndarray] | None:
        """How far away a ray meets an object, whatever else stands before it, and the normal there; None: not at all.

        The hand itself is at home meanwhile.
        """
        far = 0.0
        while True:
            geom, normal = np.array([-1], np.int32), np.zeros(3)
            distance = mujoco.mj_ray(
                self._table.model, self._data, start + far * direction, direction, None, 1, -1, geom, normal
            )
            if distance < 0 or far + distance > REACH:
                return None
            far += distance
            if self._table.geom_object[geom[0]] == index:
                return far, normal
            far += 1e-4

    def _poses(self, index: int) -> Iterator[RigidTransform]:
        body = self._table.model.body(f"object{index}").id
        geoms = np.flatnonzero(self._table.model.geom_bodyid == body)
        middles = [self._table.object_position(index), *self._data.geom_xpos[geoms]]
        for middle in middles:
            for turn in range(TURNS):
                angle = math.pi * turn / TURNS
                # Closing axis horizontal, approach down: x = y cross z.
                closing = np.array([math.cos(angle), math.sin(angle), 0.0])
                for tilt in TILTS:
                    down = np.array([0.0, 0.0, -1.0])
                    side = np.cross(closing, down)
                    approach = math.cos(tilt) * down + math.sin(tilt) * side
                    axes = np.stack([np.cross(closing, approach), closing, approach], axis=1)
                    rotation = quaternion.from_matrix(axes)
                    start = middle - 0.3 * approach
                    first = self._first_of(index, start, approach)
                    if first is None:
                        continue
                    top = start + first[0] * approach
                    for depth in DEPTHS:
                        place = top + depth * approach
                        # A tilted finger's corner is lower than its middle.
                        lowest = TABLE_GAP + self._measures.finger_width / 2 * abs(math.sin(tilt))
                        if place[2] < lowest:
                            place = place - (lowest - place[2]) / approach[2] * approach
                        yield RigidTransform(tuple(place.tolist()), rotation)
