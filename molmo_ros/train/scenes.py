# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Rendered training scenes on disk: shards of small views, their segmentation and their objects' names.

`python -m molmo_ros.train.scenes FOLDER --shards N` renders what is missing and may be stopped at any time.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import Scene
from molmo_ros.sim.typed_scenes import typed_scene
from molmo_ros.sim.wide_scenes import wide_scene

VIEW = 252
"""Side [px] of a stored view: the tower's crop size, so that training resizes nothing."""
SHARD = 1000
FIRST_SEED = 1_000_000
"""Seeds from here on are for training; those below are held out."""
KINDS = Scene.random, wide_scene, typed_scene
"""The scenes of a shard, in turn."""


@dataclass(frozen=True)
class Shard:
    """`SHARD` scenes.

    Attributes:
        rgb: uint8 [n, VIEW, VIEW, 3].
        segmentation: int8 [n, VIEW, VIEW], object index or -1.
        names: For each scene its objects as (color, shape), in segmentation order.
    """

    rgb: np.ndarray
    segmentation: np.ndarray
    names: list[list[tuple[str, str]]]


def write_shard(folder: Path, number: int) -> None:
    """Renders shard `number` and moves it into place whole, so a stopped run leaves no half shard."""
    rgb = np.empty((SHARD, VIEW, VIEW, 3), np.uint8)
    segmentation = np.empty((SHARD, VIEW, VIEW), np.int8)
    names = []
    for i in range(SHARD):
        seed = FIRST_SEED + number * SHARD + i
        scene = KINDS[i % len(KINDS)](seed)
        frame = render(scene, VIEW, VIEW)
        rgb[i], segmentation[i] = frame.rgb, frame.segmentation
        names.append([(thing.color, thing.shape) for thing in scene.objects])
    temporary = folder / f"{number:04d}.partial.npz"
    np.savez(temporary, rgb=rgb, segmentation=segmentation, names=np.array(json.dumps(names)))
    os.replace(temporary, folder / f"{number:04d}.npz")


def read_shard(path: Path) -> Shard:
    with np.load(path, allow_pickle=False) as data:
        names = [[(color, shape) for color, shape in scene] for scene in json.loads(str(data["names"]))]
        return Shard(data["rgb"], data["segmentation"], names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, default=30, help=f"how many shards of {SHARD} scenes")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for number in range(args.shards):
        if (args.folder / f"{number:04d}.npz").exists():
            continue
        start = time.monotonic()
        write_shard(args.folder, number)
        print(
            f"shard {number + 1}/{args.shards}: {SHARD / (time.monotonic() - start):.0f} scenes/s", flush=True
        )


if __name__ == "__main__":
    main()
