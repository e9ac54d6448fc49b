# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The things that stand on the simulated table: their names, colours and MuJoCo geometry."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.80, 0.08, 0.08),
    "green": (0.10, 0.58, 0.14),
    "blue": (0.08, 0.20, 0.80),
    "yellow": (0.92, 0.82, 0.08),
    "orange": (0.95, 0.45, 0.03),
    "purple": (0.48, 0.12, 0.62),
    "white": (0.93, 0.93, 0.93),
    "black": (0.06, 0.06, 0.06),
}
"""Linear RGB of every colour word, before a small random change per object."""

SHAPES = ("cube", "ball", "cylinder", "cone", "mug", "bottle", "banana")
"""Every shape word. A banana is always yellow."""

CONE_SIDES = 24


@dataclass(frozen=True)
class Build:
    """How much a thing differs from the usual one of its shape: its size, and its height beside its width."""

    size: float = 1.0
    height: float = 1.0


USUAL = Build()
PLURALS = {shape: shape + "s" for shape in SHAPES}
OTHER_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "cube": (("box", "boxes"), ("block", "blocks")),
    "ball": (("sphere", "spheres"),),
    "cylinder": (("can", "cans"),),
    "mug": (("cup", "cups"),),
}
"""Singulars and plurals of the further words for a shape that the embedded checkpoint knows."""


@dataclass(frozen=True)
class SceneObject:
    """One named thing of a scene.

    Attributes:
        color: A key of `COLORS`.
        shape: One of `SHAPES`.
        size: Radius of its footprint [m].
        geoms: MJCF of its geoms in the body's frame, z up, standing at z = 0.
    """

    color: str
    shape: str
    size: float
    geoms: str

    @property
    def name(self) -> str:
        return f"{self.color} {self.shape}"


def _geom(kind: str, rgb: np.ndarray, size: tuple[float, ...], pos=(0.0, 0.0, 0.0), extra: str = "") -> str:
    values = " ".join(f"{v:.5f}" for v in size)
    place = " ".join(f"{v:.5f}" for v in pos)
    color = " ".join(f"{v:.4f}" for v in rgb)
    dims = f'size="{values}"' if size else ""
    return f'<geom type="{kind}" {dims} pos="{place}" rgba="{color} 1" {extra}/>'


def _capsule(rgb: np.ndarray, radius: float, start, end) -> str:
    ends = " ".join(f"{v:.5f}" for v in (*start, *end))
    return _geom("capsule", rgb, (radius,), extra=f'fromto="{ends}"').replace(
        'pos="0.00000 0.00000 0.00000"', ""
    )


def _cube(rng: np.random.Generator, rgb: np.ndarray, build: Build) -> tuple[float, str]:
    half = rng.uniform(0.024, 0.034) * build.size
    return half * 1.3, _geom("box", rgb, (half, half, half), (0, 0, half))


def _ball(rng: np.random.Generator, rgb: np.ndarray, build: Build) -> tuple[float, str]:
    radius = rng.uniform(0.027, 0.038) * build.size
    return radius, _geom("sphere", rgb, (radius,), (0, 0, radius))


def _cylinder(rng: np.random.Generator, rgb: np.ndarray, build: Build) -> tuple[float, str]:
    radius, half = (
        rng.uniform(0.025, 0.033) * build.size,
        rng.uniform(0.034, 0.045) * build.size * build.height,
    )
    return radius, _geom("cylinder", rgb, (radius, half), (0, 0, half))


def _cone(rng: np.random.Generator, rgb: np.ndarray, build: Build) -> tuple[float, str]:
    radius, height = (
        rng.uniform(0.032, 0.042) * build.size,
        rng.uniform(0.075, 0.095) * build.size * build.height,
    )
    mesh = f"cone{int(radius * 1e5)}_{int(height * 1e5)}"
    return radius, _geom("mesh", rgb, (), extra=f'mesh="{mesh}"')


def _mug(rng: np.random.Generator, rgb: np.ndarray, build: Build) -> tuple[float, str]:
    radius, half = (
        rng.uniform(0.030, 0.036) * build.size,
        rng.uniform(0.032, 0.040) * build.size * build.height,
    )
    inside = rgb * 0.25 + 0.04
    reach, thick = radius + 0.022 * build.size, 0.0055 * build.size
    low, high = half * 0.55, half * 1.5
    parts = [
        _geom("cylinder", rgb, (radius, half), (0, 0, half)),
        _geom("cylinder", inside, (radius * 0.84, 0.0008), (0, 0, 2 * half), 'contype="0" conaffinity="0"'),
        _capsule(rgb, thick, (radius, 0, low), (reach, 0, low)),
        _capsule(rgb, thick, (reach, 0, low), (reach, 0, high)),
        _capsule(rgb, thick, (reach, 0, high), (radius, 0, high)),
    ]
    return radius + 0.01 * build.size, "".join(parts)


def _bottle(rng: np.random.Generator, rgb: np.ndarray, build: Build) -> tuple[float, str]:
    radius, half = (
        rng.uniform(0.023, 0.028) * build.size,
        rng.uniform(0.038, 0.048) * build.size * build.height,
    )
    neck, unit = radius * 0.42, build.size
    cap = np.array((0.85, 0.85, 0.82)) if rgb.mean() < 0.5 else np.array((0.18, 0.18, 0.2))
    parts = [
        _geom("cylinder", rgb, (radius, half), (0, 0, half)),
        _geom("ellipsoid", rgb, (radius, radius, 0.02 * unit), (0, 0, 2 * half)),
        _geom("cylinder", rgb, (neck, 0.022 * unit), (0, 0, 2 * half + 0.022 * unit)),
        _geom("cylinder", cap, (neck * 1.25, 0.008 * unit), (0, 0, 2 * half + 0.05 * unit)),
    ]
    return radius, "".join(parts)


def _banana(rng: np.random.Generator, rgb: np.ndarray, build: Build) -> tuple[float, str]:
    bend, thick = rng.uniform(0.055, 0.065) * build.size, rng.uniform(0.013, 0.016) * build.size
    angles = np.linspace(-0.95, 0.95, 6)
    ends = [(bend * math.sin(a), bend * (math.cos(a) - 0.82), thick) for a in angles]
    parts = [_capsule(rgb, thick * (0.75 if i in (0, 4) else 1.0), ends[i], ends[i + 1]) for i in range(5)]
    tip = _capsule(
        np.array((0.25, 0.18, 0.05)),
        thick * 0.45,
        ends[-1],
        tuple(1.25 * np.array(ends[-1]) - 0.25 * np.array(ends[-2])),
    )
    return bend * 0.9, "".join(parts) + tip


_MAKERS: dict[str, Callable[[np.random.Generator, np.ndarray, Build], tuple[float, str]]] = {
    "cube": _cube, "ball": _ball, "cylinder": _cylinder, "cone": _cone,
    "mug": _mug, "bottle": _bottle, "banana": _banana,
}  # fmt: skip


def make_object(
    color: str,
    shape: str,
    rng: np.random.Generator,
    build: Build = USUAL,
    rgb: np.ndarray | None = None,
) -> SceneObject:
    """Makes one object of random size and slightly random colour.

    Args:
        color: A key of `COLORS`.
        shape: One of `SHAPES`.
        rng: Source of every choice.
        build: How it differs from the usual one.
        rgb: [3] its colour; the default is near `COLORS`.

    Raises:
        ValueError: the colour or shape is not one of `COLORS`, `SHAPES`.
    """
    if color not in COLORS or shape not in SHAPES:
        raise ValueError(
            f"no {color!r} {shape!r}: colours are {', '.join(COLORS)}; shapes are {', '.join(SHAPES)}"
        )
    if rgb is None:
        rgb = _near(color, rng)
    size, geoms = _MAKERS[shape](rng, rgb, build)
    return SceneObject(color, shape, size, geoms)


def _near(color: str, rng: np.random.Generator) -> np.ndarray:
    return np.clip(np.array(COLORS[color]) * rng.uniform(0.85, 1.12) + rng.normal(0, 0.02, 3), 0.02, 1.0)


def cone_mesh(geoms: str) -> str:
    """MJCF asset of the cone mesh that `geoms` names, empty where it names none."""
    if 'mesh="cone' not in geoms:
        return ""
    name = geoms.split('mesh="', 1)[1].split('"', 1)[0]
    radius, height = (int(part) / 1e5 for part in name.removeprefix("cone").split("_"))
    angles = np.arange(CONE_SIDES) * (2 * math.pi / CONE_SIDES)
    ring = [(radius * math.cos(a), radius * math.sin(a), 0.0) for a in angles]
    vertices = [*ring, (0.0, 0.0, 0.0), (0.0, 0.0, height)]
    base, apex = CONE_SIDES, CONE_SIDES + 1
    faces = []
    for i in range(CONE_SIDES):
        j = (i + 1) % CONE_SIDES
        faces += [(i, j, apex), (j, i, base)]
    flat = " ".join(f"{v:.5f}" for vertex in vertices for v in vertex)
    index = " ".join(str(v) for face in faces for v in face)
    return f'<mesh name="{name}" vertex="{flat}" face="{index}"/>'
