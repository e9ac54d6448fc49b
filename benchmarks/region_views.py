# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Views of simulated scenes with the embedded model's points, kept on disk for further runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from molmo_ros.geometry import PinholeCamera
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.sim.renderer import add_noise, render
from molmo_ros.sim.scene import SENSOR, Scene

BOARD_M = 0.012
"""Height of a shelf's lowest board, which things stand on."""


@dataclass(frozen=True)
class RegionView:
    """One view and what the model found in it.

    Attributes:
        seed: Of the scene.
        rgb: uint8 [h, w, 3], with sensor noise.
        depth: float32 [h, w], exact [m].
        segmentation: int [h, w], the object of a pixel, -1 for none.
        camera: Its intrinsics.
        position, world_from_optical: The camera's pose in the world, [3] [m] and [3, 3].
        floor: Height of what things stand on in the world [m].
        asked: How many objects were asked for.
        hits: The points [px], whole numbers at pixel centres, that lie on an object of the name asked for, and the
            object; one for each object.
    """

    seed: int
    rgb: np.ndarray
    depth: np.ndarray
    segmentation: np.ndarray
    camera: PinholeCamera
    position: np.ndarray
    world_from_optical: np.ndarray
    floor: float
    asked: int
    hits: tuple[tuple[tuple[float, float], int], ...]


def views(kind: str, make: Callable[[int], Scene], seeds: Iterable[int], cache: Path) -> Iterator[RegionView]:
    """The views of a kind's seeds; those not in the cache are rendered and shown to the embedded model."""
    cache.mkdir(parents=True, exist_ok=True)
    model: Molmo | None = None
    for seed in seeds:
        file = cache / f"{kind}_{seed}.npz"
        if not file.exists():
            model = model or Molmo.from_pretrained("tiny")
            _make(make(seed), seed, model, file)
        with np.load(file, allow_pickle=False) as stored:
            k, height, width = stored["k"], *stored["depth"].shape
            yield RegionView(
                seed,
                stored["rgb"],
                stored["depth"],
                stored["segmentation"].astype(np.int32),
                PinholeCamera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], width, height),
                stored["position"],
                stored["world_from_optical"],
                BOARD_M if kind == "shelf" else 0.0,
                int(stored["asked"]),
                tuple(((float(x), float(y)), int(index)) for x, y, index in stored["hits"]),
            )


def _make(scene: Scene, seed: int, model: Molmo, file: Path) -> None:
    frame = render(scene, *SENSOR)
    rgb = add_noise(frame.rgb, np.random.default_rng(seed))
    image = model.encode(rgb)
    shown = [i for i in range(len(scene.objects)) if (frame.segmentation == i).any()]
    hits: dict[int, tuple[float, float, int]] = {}
    for name in sorted({scene.objects[i].name for i in shown}):
        for point in model.point(image, name).points:
            column = min(max(round(point.x - 0.5), 0), SENSOR[0] - 1)
            row = min(max(round(point.y - 0.5), 0), SENSOR[1] - 1)
            index = int(frame.segmentation[row, column])
            if index >= 0 and scene.objects[index].name == name:
                hits.setdefault(index, (point.x - 0.5, point.y - 0.5, index))
    np.savez_compressed(
        file,
        rgb=rgb,
        depth=frame.depth,
        segmentation=frame.segmentation.astype(np.int8),
        k=frame.intrinsics,
        position=scene.camera.position,
        world_from_optical=scene.camera.world_from_optical,
        asked=len(shown),
        hits=np.array(list(hits.values()), float).reshape(-1, 3),
    )
