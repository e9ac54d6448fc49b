# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Scenes as somebody types them first into a world file: boxes, spheres, cylinders, in pure colours."""

from __future__ import annotations

import math

import numpy as np

from molmo_ros.sim.objects import COLORS, SHAPES, Build, SceneObject, make_object
from molmo_ros.sim.scene import Camera, Lighting, Look, Scene, object_pose, random_look
from molmo_ros.sim.wide_scenes import PLAIN_COLORS, SENSORS, strewn

NEAREST, FARTHEST = 0.4, 1.35
"""Distance of the camera to what it looks at [m]."""
NARROWEST, WIDEST = math.radians(50), math.radians(72)
"""Horizontal field of view."""
KINDS = 0.36, 0.28, 0.36
"""How often a thing is a cube, a ball, a cylinder."""


def typed_scene(seed: int) -> Scene:
    """The scene of a seed: 2 to 6 objects, all in view; equal seeds give equal scenes."""
    rng = np.random.default_rng((seed, 78))
    while True:
        sensor = SENSORS[rng.integers(len(SENSORS))]
        distance = float(np.exp(rng.uniform(math.log(NEAREST), math.log(FARTHEST))))
        half_width = math.tan(rng.uniform(NARROWEST, WIDEST) / 2)
        fovy = 2 * math.atan(half_width * sensor[1] / sensor[0])
        azimuth = rng.uniform(0, 2 * math.pi)
        elevation = math.radians(rng.uniform(28, 66))
        target = np.array([rng.uniform(-0.04, 0.04), rng.uniform(-0.04, 0.04), 0.02])
        camera = Camera.looking_at(target, azimuth, elevation, distance, 0.0, fovy, sensor)
        objects = _objects(rng)
        look = _look(rng)
        reach = min(rng.uniform(0.25, 0.75) * distance * half_width, 0.9 * look.table_half)
        places = strewn(rng, objects, reach, math.sin(elevation))
        if places is None:
            continue
        poses = [
            object_pose(rng, thing, place, azimuth) for thing, place in zip(objects, places, strict=True)
        ]
        scene = Scene(objects, poses, _shade(rng), camera, look)
        if scene.all_in_view(24, 24, 24):
            return scene


def _objects(rng: np.random.Generator) -> list[SceneObject]:
    """Things of nearly one size, mostly each of a colour of its own."""
    count = int(rng.integers(2, 7))
    colors = rng.choice(list(COLORS), count, replace=bool(rng.random() < 0.25))
    size = rng.uniform(0.7, 1.3)
    objects = []
    for color in map(str, colors):
        shape = str(rng.choice(SHAPES[:3], p=KINDS))
        rgb = np.array(PLAIN_COLORS[color])
        if color == "orange":
            rgb[1] = rng.uniform(0.4, 0.66)
        elif color == "purple":
            rgb = rgb * rng.uniform(0.85, 1.3)
        if rng.random() < 0.3:
            rgb = rgb * rng.uniform(0.7, 1.0)
        build = Build(size * rng.uniform(0.85, 1.15), rng.uniform(0.9, 1.4) if shape == "cylinder" else 1.0)
        objects.append(make_object(color, shape, rng, build, np.clip(rgb, 0.0, 1.0)))
    return objects


def _shade(rng: np.random.Generator) -> str:
    """At times a dark patch beside the things, as of the shadow of something that is out of view."""
    if rng.random() > 0.3:
        return ""
    angle, far = rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 0.7)
    gray = rng.uniform(0.03, 0.3)
    x, y = far * math.cos(angle), far * math.sin(angle)
    size = f'size="{rng.uniform(0.05, 0.3):.3f} {rng.uniform(0.05, 0.3):.3f} 0.0003"'
    place = f'pos="{x:.4f} {y:.4f} 0.0003" euler="0 0 {rng.uniform(0, 3.14):.3f}"'
    rgba = f"{gray:.3f} {gray:.3f} {gray:.3f} 1"
    return f'<geom type="box" {size} {place} rgba="{rgba}" contype="0" conaffinity="0"/>'


def _look(rng: np.random.Generator) -> Look:
    """A plain gray or brown table, or the floor; dull things in display values or in light."""
    look = random_look(rng)
    gray = rng.uniform(0.5, 0.9) if rng.random() < 0.65 else rng.uniform(0.1, 0.5)
    brown = np.array((1.0, 0.82, 0.66)) if rng.random() < 0.4 else np.ones(3) + rng.normal(0, 0.02, 3)
    on_floor = rng.random() < 0.5
    return Look(
        light=look.light / np.linalg.norm(look.light) * 6.0,
        ambient=rng.uniform(0.3, 0.65),
        tint=np.ones(3),
        table=np.clip(gray * brown, 0.02, 1.0),
        table_pattern="plain",
        pattern_scale=look.pattern_scale,
        pattern_angle=look.pattern_angle,
        pattern_contrast=0.0,
        floor=np.clip(rng.uniform(0.3, 0.85) + rng.normal(0, 0.01, 3), 0.02, 1.0),
        lighting=Lighting(
            specular=rng.uniform(0.0, 0.25) if rng.random() < 0.4 else 0.0,
            shadow=rng.uniform(0.6, 1.0) if rng.random() < 0.85 else 0.0,
            softness=rng.uniform(0.0, 0.008),
            gamma=2.2 if rng.random() < 0.4 else rng.uniform(1.0, 1.5),
        ),
        table_half=4.0 if on_floor else rng.uniform(0.35, 0.8),
    )
