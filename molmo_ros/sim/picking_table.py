# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Random tables with a hand above them, and the name of one thing on each that is to be picked up."""

from __future__ import annotations

import math
from dataclasses import replace

import mujoco
import numpy as np

from molmo_ros.sim.hand import Hand, HandMeasures, hand_mjcf
from molmo_ros.sim.objects import COLORS, SHAPES, SceneObject, make_object
from molmo_ros.sim.renderer import Rendering, render
from molmo_ros.sim.scene import SENSOR, Camera, Scene, loose_sheets, object_pose, random_camera, random_look

FEWEST, MOST = 3, 8
"""How many objects stand on a table."""
CLUTTERED_SHARE = 0.5
CLUTTERED_GAP, LOOSE_GAP = (0.0, 0.02), 0.016
"""Between the footprints of neighbours [m]: drawn from a range where it is cluttered, and at least."""
SMALLEST_MASK = 150
"""What is asked for shows at least this many pixels: the demo's rule, too."""
REST_TIME, REST_SPEED = 2.0, 0.01
"""How long the objects come to rest [s], and how slow each is then [m/s], [rad/s]."""


class PickingTable(Scene):
    """A settled table, the hand at home, and what is asked for.

    Attributes:
        hand: Moves in this scene's simulation.
        asked: Index of the object to pick up; no other has its name.
        cluttered: Whether neighbours stand closer than in scenes of `Scene.random`.
        view: What the camera sees before anything moves, from where it stands.
        first_camera: Where it first stands.
    """

    hand: Hand
    asked: int
    cluttered: bool
    view: Rendering
    first_camera: Camera

    @classmethod
    def of(cls, seed: int, measures: HandMeasures) -> PickingTable:
        """The table of a seed; equal seeds and measures give equal tables, moment by moment."""
        rng = np.random.default_rng([seed, 13])
        cluttered = bool(rng.random() < CLUTTERED_SHARE)
        count = int(rng.integers(FEWEST, MOST + 1))
        while True:
            camera, azimuth = random_camera(rng)
            objects = _objects(rng, count)
            places = _places(rng, objects, cluttered)
            if places is None:
                continue
            poses = [object_pose(rng, *one, azimuth) for one in zip(objects, places, strict=True)]
            sheets = loose_sheets(rng, azimuth)
            table = cls(objects, poses, sheets, camera, random_look(rng), hand_mjcf(measures))
            table.hand, table.cluttered = Hand(table.model, table.data), cluttered
            if not table._comes_to_rest() or not table.all_in_view():
                continue
            table.first_camera, table.view = camera, render(table, *SENSOR)
            names = [thing.name for thing in objects]
            choices = [
                index
                for index, name in enumerate(names)
                if names.count(name) == 1 and (table.view.segmentation == index).sum() >= SMALLEST_MASK
            ]
            if choices:
                table.asked = int(rng.choice(choices))
                return table

    @property
    def name(self) -> str:
        """Of what is asked for."""
        return self.objects[self.asked].name

    def look_from(self, angle: float) -> None:
        """Turn the camera about the table's vertical, from where it first stood [rad]."""
        cos, sin = math.cos(angle), math.sin(angle)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        first = self.first_camera
        self.camera = replace(
            first, position=turn @ first.position, world_from_optical=turn @ first.world_from_optical
        )
        self.view = render(self, *SENSOR)

    def heights(self) -> np.ndarray:
        """[n] of the objects' centres of mass above the table [m]."""
        return np.array([self.object_position(index)[2] for index in range(len(self.objects))])

    def _comes_to_rest(self) -> bool:
        """Whether everything stands on the table, still."""
        mujoco.mj_step(self.model, self.data, round(REST_TIME / self.model.opt.timestep))
        ends = [int(self.model.body(f"object{i}").dofadr[0]) for i in range(len(self.objects))]
        speeds = [float(np.abs(self.data.qvel[end : end + 6]).max()) for end in ends]
        return max(speeds) < REST_SPEED and bool((self.heights() > 0).all())


def _objects(rng: np.random.Generator, count: int) -> list[SceneObject]:
    """A third of the tables hold several things of one shape, another several of one colour."""
    kind = rng.random()
    shape, color = str(rng.choice(SHAPES)), str(rng.choice(list(COLORS)))
    objects = []
    for index in range(count):
        alike = index < count - 1 and rng.random() < 0.6
        drawn = str(rng.choice(list(COLORS))), str(rng.choice(SHAPES))
        pair = (drawn[0], shape) if alike and kind < 1 / 3 else drawn
        pair = (color, drawn[1]) if alike and kind > 2 / 3 else pair
        pair = ("yellow", "banana") if pair[1] == "banana" else pair
        objects.append(make_object(*pair, rng))
    return objects


def _places(rng: np.random.Generator, objects: list[SceneObject], cluttered: bool) -> list[np.ndarray] | None:
    """Positions [m] right of and away from the camera; None where they did not fit."""
    placed: list[np.ndarray] = []
    for thing in objects:
        gap = rng.uniform(*CLUTTERED_GAP) if cluttered else LOOSE_GAP
        # Seen from the camera, things in line need more room than things side by side.
        shortened = (1.0, 1.0) if cluttered else (1.0, 0.62)
        for _ in range(60):
            place = np.array([rng.uniform(-0.20, 0.20), rng.uniform(-0.13, 0.14)])
            if cluttered and placed:
                place = _beside(rng, thing, placed, objects, gap)
            apart = [
                math.hypot(*((place - other) * shortened)) >= thing.size + objects[i].size + gap - 1e-9
                for i, other in enumerate(placed)
            ]
            if all(apart) and abs(place[0]) < 0.2 and -0.13 < place[1] < 0.14:
                placed.append(place)
                break
        else:
            return None
    return placed


def _beside(
    rng: np.random.Generator,
    thing: SceneObject,
    placed: list[np.ndarray],
    objects: list[SceneObject],
    gap: float,
) -> np.ndarray:
    """A place at that gap from a random object that stands already."""
    index = int(rng.integers(len(placed)))
    angle, far = rng.uniform(0, 2 * math.pi), thing.size + objects[index].size + gap
    return placed[index] + far * np.array([math.cos(angle), math.sin(angle)])
