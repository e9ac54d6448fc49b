# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Scenes arranged for what is hard about the object at a point: bins, shelves, walls, flat and touching things.

Each kind is a function of a seed; equal seeds give equal scenes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import mujoco
import numpy as np

from molmo_ros.sim.objects import COLORS, SceneObject, make_object
from molmo_ros.sim.scene import Camera, Scene, random_look

STANDING = ("cube", "ball", "cylinder", "cone", "mug", "bottle", "banana")
ROUND = ("ball", "cylinder", "bottle")
BOARD_M = 0.012
"""Thickness of a shelf's boards and of a bin's walls."""


def in_bin(seed: int) -> Scene:
    """Things in a bin, seen from above."""
    rng = np.random.default_rng(seed)
    camera, azimuth = _camera(rng, elevation=(55, 80), distance=(0.5, 0.65))
    half, tall = rng.uniform((0.17, 0.13), (0.23, 0.17)), rng.uniform(0.06, 0.13)
    walls = [
        (half[0], BOARD_M / 2, tall / 2, 0, half[1], tall / 2),
        (half[0], BOARD_M / 2, tall / 2, 0, -half[1], tall / 2),
        (BOARD_M / 2, half[1], tall / 2, half[0], 0, tall / 2),
        (BOARD_M / 2, half[1], tall / 2, -half[0], 0, tall / 2),
    ]
    return _scene(
        rng, camera, azimuth, _spread(rng, half - 0.055, int(rng.integers(2, 5))), _boxes(rng, azimuth, walls)
    )


def on_shelf(seed: int) -> Scene:
    """Things on the board of a shelf with a back and a board above, seen from before it."""
    rng = np.random.default_rng(seed)
    camera, azimuth = _camera(rng, elevation=(14, 30), distance=(0.55, 0.75), aim=0.08)
    half, tall = rng.uniform(0.24, 0.32), rng.uniform(0.24, 0.30)
    boards = [
        (half, 0.14, BOARD_M / 2, 0, 0, BOARD_M / 2),
        (half, 0.14, BOARD_M / 2, 0, 0, tall),
        (half, BOARD_M / 2, tall / 2, 0, 0.14, tall / 2),
        (BOARD_M / 2, 0.14, tall / 2, half, 0, tall / 2),
        (BOARD_M / 2, 0.14, tall / 2, -half, 0, tall / 2),
    ]
    placed = _spread(rng, np.array([half - 0.06, 0.07]), int(rng.integers(2, 5)))
    return _scene(rng, camera, azimuth, placed, _boxes(rng, azimuth, boards), height=BOARD_M)


def against_wall(seed: int) -> Scene:
    """Things on a table that touch the wall behind it, or nearly; the wall fills more of the view than the table."""
    rng = np.random.default_rng(seed)
    camera, azimuth = _camera(rng, elevation=(18, 40), distance=(0.5, 0.65), aim=0.05)
    wall = _boxes(rng, azimuth, [(0.6, 0.01, 0.4, 0, 0.11, 0.4)])
    placed = []
    for right in np.linspace(-0.16, 0.16, int(rng.integers(2, 4))):
        thing = _thing(rng, ("cube", "ball", "cylinder", "cone", "bottle"))
        reach = thing.size / 1.3 if thing.shape == "cube" else thing.size
        gap = float(rng.choice((0.001, 0.02)))
        placed.append((thing, np.array([right, 0.10 - reach - gap]), 0.0))
    return _scene(rng, camera, azimuth, placed, wall)


def flat_things(seed: int) -> Scene:
    """A banana, a plate and a sheet 4 mm high."""
    rng = np.random.default_rng(seed)
    camera, azimuth = _camera(rng)
    color = str(rng.choice([name for name in COLORS if name != "yellow"]))
    things = [
        make_object("yellow", "banana", rng),
        _plate(rng, color),
        _sheet(rng, str(rng.choice(list(COLORS)))),
    ]
    rights = rng.permutation([-0.15, 0.0, 0.15])
    placed = [
        (thing, np.array([right, rng.uniform(-0.06, 0.06)]), rng.uniform(0, 2 * math.pi))
        for thing, right in zip(things, rights, strict=True)
    ]
    return _scene(rng, camera, azimuth, placed, "")


def touching(seed: int) -> Scene:
    """Two things side by side that touch, at a random angle to the view; half of the pairs share their colour."""
    rng = np.random.default_rng(seed)
    camera, azimuth = _camera(rng)
    first, second = _thing(rng, STANDING[:-1]), _thing(rng, STANDING[:-1])
    if rng.random() < 0.5:
        second = make_object(first.color, second.shape, rng)
    angle = rng.uniform(-math.pi / 2, math.pi / 2)
    way = np.array([math.cos(angle), math.sin(angle)])
    apart = _reach(first) + _reach(second)
    # Cubes meet with a face; a mug turns its handle away.
    turns = [_turn(thing, angle, azimuth, sign) for thing, sign in ((first, -1), (second, 1))]
    placed = [(first, -way * apart / 2, turns[0]), (second, way * apart / 2, turns[1])]
    return _scene(rng, camera, azimuth, placed, "")


def cut_by_rim(seed: int) -> Scene:
    """Things at the image's rim, which cuts them."""
    rng = np.random.default_rng(seed)
    camera, azimuth = _camera(rng, distance=(0.36, 0.42))
    placed = []
    for side in (-1, 1):
        place = np.array([side * rng.uniform(0.15, 0.18), rng.uniform(-0.02, 0.05)])
        placed.append((_thing(rng, STANDING[:-1]), place, rng.uniform(0, 2 * math.pi)))
    placed.append((_thing(rng, STANDING[:-1]), np.array([0.0, -0.10]), rng.uniform(0, 2 * math.pi)))
    return _scene(rng, camera, azimuth, placed, "")


def in_the_air(seed: int) -> Scene:
    """Things far above the floor, as a hand holds them: no support is near."""
    rng = np.random.default_rng(seed)
    camera, azimuth = _camera(rng)
    placed = _spread(rng, np.array([0.14, 0.08]), int(rng.integers(1, 4)))
    scene = _scene(rng, camera, azimuth, placed, "")
    scene.model.geom("table").pos[2] = -0.6
    mujoco.mj_forward(scene.model, scene.data)
    return scene


ARRANGEMENTS: dict[str, Callable[[int], Scene]] = {
    "bin": in_bin,
    "shelf": on_shelf,
    "wall": against_wall,
    "flat": flat_things,
    "touching": touching,
    "rim": cut_by_rim,
    "air": in_the_air,
}
"""By the name that benchmarks and tests give."""

Placed = tuple[SceneObject, np.ndarray, float]
"""A thing, its place right of and away from the camera [m], its yaw [rad]."""


def _camera(
    rng: np.random.Generator,
    elevation: tuple[float, float] = (36, 62),
    distance: tuple[float, float] = (0.48, 0.61),
    aim: float = 0.02,
) -> tuple[Camera, float]:
    azimuth = rng.uniform(0, 2 * math.pi)
    target = np.array([*rng.uniform(-0.015, 0.015, 2), aim])
    camera = Camera.looking_at(
        target,
        azimuth,
        math.radians(rng.uniform(*elevation)),
        rng.uniform(*distance),
        roll=math.radians(rng.normal(0, 2)),
        fovy=math.radians(rng.uniform(42, 50)),
    )
    return camera, azimuth


def _scene(
    rng: np.random.Generator,
    camera: Camera,
    azimuth: float,
    placed: list[Placed],
    still: str,
    height: float = 0.0,
) -> Scene:
    poses = []
    for _, (right, away), yaw in placed:
        x = -away * math.cos(azimuth) - right * math.sin(azimuth)
        y = -away * math.sin(azimuth) + right * math.cos(azimuth)
        poses.append(f'pos="{x:.4f} {y:.4f} {height + 0.001:.4f}" euler="0 0 {yaw + azimuth:.4f}"')
    return Scene([thing for thing, _, _ in placed], poses, still, camera, random_look(rng))


def _boxes(rng: np.random.Generator, azimuth: float, boxes: Sequence[tuple[float, ...]]) -> str:
    """Still boxes (half sizes, then places: right, away, up [m]) of one colour."""
    color = " ".join(
        f"{value:.3f}" for value in np.clip(rng.uniform(0.2, 0.8) + rng.normal(0, 0.05, 3), 0.05, 0.95)
    )
    geoms = "".join(
        f'<geom type="box" size="{a:.4f} {b:.4f} {c:.4f}" pos="{x:.4f} {y:.4f} {z:.4f}" rgba="{color} 1"/>'
        for a, b, c, x, y, z in boxes
    )
    # The body's x axis points right of the camera, its y axis away from it.
    return f'<body euler="0 0 {azimuth + math.pi / 2:.4f}">{geoms}</body>'


def _thing(rng: np.random.Generator, shapes: tuple[str, ...]) -> SceneObject:
    shape = str(rng.choice(shapes))
    return make_object("yellow" if shape == "banana" else str(rng.choice(list(COLORS))), shape, rng)


def _spread(rng: np.random.Generator, half: np.ndarray, count: int) -> list[Placed]:
    """Things at random places within a rectangle, apart."""
    placed: list[Placed] = []
    for _ in range(400):
        thing, place = _thing(rng, STANDING), rng.uniform(-half, half)
        apart = (float(np.hypot(*(place - other))) - thing.size - one.size for one, other, _ in placed)
        if all(gap > 0.012 for gap in apart):
            placed.append((thing, place, rng.uniform(0, 2 * math.pi)))
        if len(placed) == count:
            break
    return placed


def _reach(thing: SceneObject) -> float:
    """From a thing's middle to where it touches its neighbour [m]."""
    return {"cube": thing.size / 1.3, "mug": thing.size - 0.01}.get(thing.shape, thing.size)


def _turn(thing: SceneObject, angle: float, azimuth: float, sign: int) -> float:
    """Yaw against the camera's direction that turns a face to the neighbour, and a handle away from it."""
    along = angle + math.pi / 2
    return along + (math.pi if sign < 0 else 0.0)


def _plate(rng: np.random.Generator, color: str) -> SceneObject:
    rgb = " ".join(f"{value:.3f}" for value in COLORS[color])
    radius, half = rng.uniform(0.05, 0.065), rng.uniform(0.003, 0.005)
    rim = half * 2.4
    ring = "".join(
        f'<geom type="box" size="0.006 {radius * 0.14:.4f} {rim / 2:.4f}" rgba="{rgb} 1" '
        f'pos="{radius * math.cos(a):.4f} {radius * math.sin(a):.4f} {rim / 2 + half:.4f}" euler="0 0 {a:.4f}"/>'
        for a in np.arange(24) * (2 * math.pi / 24)
    )
    base = f'<geom type="cylinder" size="{radius:.4f} {half:.4f}" pos="0 0 {half:.4f}" rgba="{rgb} 1"/>'
    return SceneObject(color, "plate", radius, base + ring)


def _sheet(rng: np.random.Generator, color: str) -> SceneObject:
    rgb = " ".join(f"{value:.3f}" for value in COLORS[color])
    a, b = rng.uniform(0.035, 0.06, 2)
    geom = f'<geom type="box" size="{a:.4f} {b:.4f} 0.002" pos="0 0 0.002" rgba="{rgb} 1"/>'
    return SceneObject(color, "sheet", float(math.hypot(a, b)), geom)
