# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Scenes as people build them in simulators of their own: far and near, pure and dark colours, any light and lens.

Of the same things as `Scene.random`, which stays the narrow one: a table half a metre away.
"""

from __future__ import annotations

import math

import numpy as np

from molmo_ros.sim.objects import COLORS, Build, SceneObject, make_object
from molmo_ros.sim.scene import (
    SENSOR,
    Camera,
    Lighting,
    Look,
    Scene,
    loose_sheets,
    object_pose,
    random_look,
    random_names,
    scattered,
)

NEAREST, FARTHEST = 0.35, 1.4
"""Distance of the camera to what it looks at [m]."""
NARROWEST, WIDEST = math.radians(40), math.radians(85)
"""Horizontal field of view."""
SENSORS = (SENSOR, SENSOR, (1280, 720), (1920, 1080))
LEAST_VIEW = 0.023
"""Least width of a thing as a share of the picture's: some six pixels of the network's view."""
SIZES = 0.4, 1.6
SHARES = (0.22, 0.22, 0.22, 0.08, 0.1, 0.08, 0.08)
"""How often each of `SHAPES` comes: what somebody types first are boxes, spheres and cylinders."""
PLAIN_COLORS: dict[str, tuple[float, float, float]] = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "orange": (1.0, 0.5, 0.0),
    "purple": (0.5, 0.0, 0.5),
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
}
"""What somebody writes into a file for every colour word."""


def wide_scene(seed: int) -> Scene:
    """The scene of a seed: 1 to 7 objects, all in view; equal seeds give equal scenes."""
    rng = np.random.default_rng((seed, 77))
    while True:
        sensor = SENSORS[rng.integers(len(SENSORS))]
        distance = float(np.exp(rng.uniform(math.log(NEAREST), math.log(FARTHEST))))
        half_width = math.tan(rng.uniform(NARROWEST, WIDEST) / 2)
        fovy = 2 * math.atan(half_width * sensor[1] / sensor[0])
        azimuth = rng.uniform(0, 2 * math.pi)
        elevation = math.radians(rng.uniform(24, 78))
        target = np.array([rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03), 0.02])
        roll = math.radians(rng.normal(0, 3))
        camera = Camera.looking_at(target, azimuth, elevation, distance, roll, fovy, sensor)
        objects = _objects(rng, distance * half_width * 2)
        look = _look(rng)
        reach = min(rng.uniform(0.3, 0.85) * distance * half_width, 0.95 * look.table_half)
        places = strewn(rng, objects, reach, math.sin(elevation))
        if places is None:
            continue
        poses = [
            object_pose(rng, thing, place, azimuth) for thing, place in zip(objects, places, strict=True)
        ]
        clutter = loose_sheets(rng, azimuth) if rng.random() < 0.3 else ""
        scene = Scene(objects, poses, clutter, camera, look)
        if scene.all_in_view(24, 24, 24):
            return scene


def _objects(rng: np.random.Generator, view: float) -> list[SceneObject]:
    """Things of mostly one kind of colour, large enough to be seen in a view that is so wide [m]."""
    smallest = max(SIZES[0], LEAST_VIEW * view / 0.055)
    one_kind = rng.random() < 0.6
    common = _kind_of_color(rng)
    size = rng.uniform(min(smallest, SIZES[1]), SIZES[1])
    objects = []
    for color, shape in random_names(rng, SHARES):
        own = float(np.clip(size * rng.uniform(0.8, 1.25), smallest, max(SIZES[1], smallest)))
        build = Build(own, rng.uniform(0.7, 1.4) if rng.random() < 0.5 else 1.0)
        kind = common if one_kind else _kind_of_color(rng)
        objects.append(make_object(color, shape, rng, build, _rgb(rng, color, kind)))
    return objects


def _kind_of_color(rng: np.random.Generator) -> str:
    return str(rng.choice(["usual", "pure", "dark"], p=[0.35, 0.45, 0.2]))


def _rgb(rng: np.random.Generator, color: str, kind: str) -> np.ndarray:
    """[3] a colour that people call so."""
    rgb = np.array(COLORS[color] if kind == "usual" else PLAIN_COLORS[color])
    if color == "orange":
        rgb[1] = rng.uniform(0.35, 0.68)
    elif color == "purple":
        rgb = rgb * rng.uniform(0.8, 1.3) + (0, rng.uniform(0, 0.12), 0)
    elif color == "green":
        rgb = rgb + rng.uniform(0, 0.15) * np.array((1.0, 0.0, 1.0))
    if kind == "dark" and color not in ("white", "black"):
        rgb = rgb * rng.uniform(0.5 if color not in ("orange", "yellow") else 0.65, 0.85)
    if color == "white":
        rgb = rgb * rng.uniform(0.82, 1.0)
    return np.clip(rgb + rng.normal(0, 0.015, 3), 0.0, 1.0)


def strewn(
    rng: np.random.Generator, objects: list[SceneObject], reach: float, foreshortening: float
) -> list[np.ndarray] | None:
    """Positions [m] right of and away from the camera within a reach [m], apart enough to be told apart."""

    def apart(between: np.ndarray, sizes: float) -> bool:
        return (
            math.hypot(*(between * (1.0, min(0.95, foreshortening)))) > sizes * rng.uniform(0.9, 1.2) + 0.006
        )

    return scattered(objects, lambda: rng.uniform(-reach, reach, 2), apart)


def _look(rng: np.random.Generator) -> Look:
    """Light and surfaces: a table of any size and colour, or the floor."""
    look = random_look(rng)
    bright = rng.random() < 0.5
    gray = rng.uniform(0.45, 0.95) if bright else rng.uniform(0.08, 0.5)
    hue = rng.normal(0, 0.10 if rng.random() < 0.5 else 0.02, 3) * gray
    direction = look.light / np.linalg.norm(look.light)
    on_floor = rng.random() < 0.45
    return Look(
        light=direction * (6.0 if rng.random() < 0.6 else rng.uniform(1.3, 2.5)),
        ambient=rng.uniform(0.25, 0.65),
        tint=look.tint if rng.random() < 0.5 else np.ones(3),
        table=np.clip(gray + hue, 0.02, 1.0),
        table_pattern=look.table_pattern if rng.random() < 0.4 else "plain",
        pattern_scale=rng.uniform(0.03, 0.25),
        pattern_angle=look.pattern_angle,
        pattern_contrast=look.pattern_contrast,
        floor=np.clip(rng.uniform(0.05, 0.9) + rng.normal(0, 0.03, 3), 0.02, 1.0),
        lighting=Lighting(
            specular=rng.uniform(0.0, 0.4) if rng.random() < 0.7 else 0.0,
            shininess=float(np.exp(rng.uniform(math.log(8), math.log(80)))),
            shadow=rng.uniform(0.5, 1.0) if rng.random() < 0.8 else 0.0,
            softness=rng.uniform(0.0, 0.008),
            fill=rng.uniform(0.0, 0.4) if rng.random() < 0.4 else 0.0,
            gamma=2.2 if rng.random() < 0.5 else rng.uniform(1.0, 1.4),
        ),
        texture=rng.uniform(0.05, 0.3) if rng.random() < 0.25 else 0.0,
        table_half=4.0 if on_floor else rng.uniform(0.3, 0.8),
    )
