# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Scenes that training never saw, with their truth: the narrow table, wide scenes, and recorded pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from molmo_ros.sim.renderer import Rendering, add_noise, render
from molmo_ros.sim.scene import Scene
from molmo_ros.sim.typed_scenes import typed_scene
from molmo_ros.sim.wide_scenes import wide_scene
from molmo_ros.train.disturbance import visible

WIDTH, HEIGHT = 640, 480
HELD_OUT = 10_000
"""First evaluation seed; all are below `FIRST_SEED`, where training begins."""


@dataclass(frozen=True)
class HeldOutScene:
    """A picture whose things are known.

    Attributes:
        name: What it is called in a list of wrong answers.
        picture: uint8 [h, w, 3] RGB, as a camera gives it.
        frame: The truth; its `segmentation` counts.
        names: Colour and shape of every thing.
        distance: From the camera to the things [m]; None where it is not known.
        rng: Where the queries come from.
    """

    name: str
    picture: np.ndarray
    frame: Rendering
    names: tuple[tuple[str, str], ...]
    distance: float | None
    rng: np.random.Generator


def narrow_scenes(count: int, first: int = HELD_OUT) -> Iterator[HeldOutScene]:
    """Tables half a metre away, 640x480, with sensor noise."""
    for seed in range(first, first + count):
        yield held_out(seed, Scene.random(seed), (WIDTH, HEIGHT))


def wide_scenes(count: int, first: int = HELD_OUT) -> Iterator[HeldOutScene]:
    """Scenes of `molmo_ros.sim.wide_scenes`, 640x480 to 1920x1080, with sensor noise."""
    for seed in range(first, first + count):
        scene = wide_scene(seed)
        yield held_out(seed, scene, scene.camera.sensor)


def typed_scenes(count: int, first: int = HELD_OUT) -> Iterator[HeldOutScene]:
    """Scenes of `molmo_ros.sim.typed_scenes`, 640x480 to 1920x1080, with sensor noise."""
    for seed in range(first, first + count):
        scene = typed_scene(seed)
        yield held_out(seed, scene, scene.camera.sensor)


def recorded_scenes(folder: Path, kind: str = "") -> Iterator[HeldOutScene]:
    """Pictures of another renderer: `index.json` and the files that it names, as in `test/gazebo/frames`.

    Args:
        folder: Holds the index and NPZ files of `rgb` uint8 [h, w, 3] and `mask` int8 [h, w], the number of the thing
            in the index or -1.
        kind: How names of the files that are wanted begin.
    """
    for entry in json.loads((folder / "index.json").read_text()):
        if not entry["file"].startswith(kind):
            continue
        with np.load(folder / entry["file"], allow_pickle=False) as data:
            rgb, mask = data["rgb"], data["mask"].astype(np.int32)
        frame = Rendering(rgb, np.full(mask.shape, np.nan, np.float32), mask, np.full((3, 3), np.nan))
        names = tuple((color, shape) for color, shape in (name.split() for name in entry["objects"]))
        rng = np.random.default_rng(entry["seed"])
        yield HeldOutScene(entry["file"], rgb, frame, names, entry["distance"], rng)


def held_out(
    seed: int,
    scene: Scene,
    size: tuple[int, int],
    draw: Callable[[Rendering, np.random.Generator], np.ndarray] = lambda frame, rng: add_noise(
        frame.rgb, rng
    ),
) -> HeldOutScene:
    """A scene of the simulator with its truth.

    Args:
        seed: Of the noise and of the queries.
        scene: What is seen.
        size: Width and height of the picture [px].
        draw: Makes the picture of what the ray caster saw.
    """
    rng = np.random.default_rng(seed)
    names = [(thing.color, thing.shape) for thing in scene.objects]
    frame, seen = visible(render(scene, *size), names, least=1)
    places = np.array([scene.object_position(index) for index in range(len(names))])
    distance = float(np.linalg.norm(places - scene.camera.position, axis=1).mean())
    return HeldOutScene(str(seed), draw(frame, rng), frame, tuple(seen), distance, rng)
