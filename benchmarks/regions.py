# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Measures the regions at the embedded model's own points, on simulated scenes that training never saw.

    python -m benchmarks.regions [--scenes 125] [--arranged 24] [--cache FOLDER] [--json FILE] [--picture FILE]

Every named object of a scene is asked for by name in a 640x480 view with sensor noise; where the model's point lies on
such an object, the region there is held against the object's mask, for each model of a depth camera
(`sim/depth_noise.py`). A point on something else is the model's error and is counted apart. "wrong" is a region that
shares less than half with the object, or none. Boxes are held against the least rectangle around the exact visible
surface, down to the table: "size" is the median over boxes of the largest error of their three edges.

Time: one thread, frames of five objects, the median of wall time. Rendered scenes and points are kept in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.region_views import RegionView, views
from molmo_ros.regions.scene import find_regions
from molmo_ros.sim.arranged_scenes import ARRANGEMENTS
from molmo_ros.sim.depth_noise import DEPTH_MODELS
from molmo_ros.sim.scene import Scene

FIRST_SEED = 40_000
SMALLEST = 150
"""Objects that show fewer pixels are left out."""
OBJECTS_TIMED = 5
COLORS = (
    (255, 80, 60),
    (70, 200, 80),
    (70, 120, 255),
    (250, 200, 40),
    (220, 80, 230),
    (60, 220, 220),
    (255, 150, 40),
)


@dataclass
class RegionScore:
    """What came of the regions of one kind of scene under one depth model."""

    overlaps: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    """Largest error of a box's edges [m]."""
    shares: list[float] = field(default_factory=list)
    """The same by the edge's length."""

    def row(self) -> dict[str, Any]:
        """The figures of the table."""
        overlaps, sizes, shares = (np.array(part) for part in (self.overlaps, self.sizes, self.shares))
        near = float(np.mean((sizes <= 0.005) | (shares <= 0.05))) if len(sizes) else np.nan
        return {
            "objects": len(overlaps),
            "IoU median": round(float(np.median(overlaps)), 3),
            "p10": round(float(np.percentile(overlaps, 10)), 3),
            "over 0.8 [%]": round(100 * float(np.mean(overlaps > 0.8)), 1),
            "empty [%]": round(100 * float(np.mean(overlaps == 0)), 1),
            "wrong [%]": round(100 * float(np.mean(overlaps < 0.5)), 1),
            "size [mm]": round(1000 * float(np.median(sizes)), 1) if len(sizes) else None,
            "within 5 mm or 5 % [%]": round(100 * near, 1),
        }


def score(scene_views: list[RegionView], model: str) -> RegionScore:
    """Regions at the model's points that lie on what was asked for."""
    found = RegionScore()
    for view in scene_views:
        depth = DEPTH_MODELS[model](view.depth, view.camera.fx, np.random.default_rng(view.seed))
        hits = [
            (point, index) for point, index in view.hits if (view.segmentation == index).sum() >= SMALLEST
        ]
        if not hits:
            continue
        pixels = np.array([point for point, _ in hits])
        regions = find_regions(depth, view.camera, pixels).regions
        for region, (_, index) in zip(regions, hits, strict=True):
            truth = view.segmentation == index
            mask = np.zeros(truth.shape, bool)
            mask[region.rows, region.columns] = True
            overlap = float((mask & truth).sum() / (mask | truth).sum())
            found.overlaps.append(overlap)
            if region.box is not None and region.support is not None and overlap >= 0.5:
                true_size = visible_size(view, truth)
                errors = np.abs(np.sort(region.box.size[:2]) - true_size[:2])
                errors = np.append(errors, abs(region.box.size[2] - true_size[2]))
                found.sizes.append(float(errors.max()))
                found.shares.append(float((errors / np.maximum(true_size, 1e-6)).max()))
    return found


def visible_size(view: RegionView, mask: np.ndarray) -> np.ndarray:
    """[3]: the smaller and larger edge of the least rectangle around what shows of an object, and its height [m]."""
    rows, columns = np.nonzero(mask)
    optical = view.camera.deproject(np.column_stack([columns, rows]), view.depth[rows, columns])
    world = optical @ view.world_from_optical.T + view.position
    best = np.full(2, np.inf)
    outline = cv2.convexHull(world[:, :2].astype(np.float32))[:, 0]
    for angle in np.radians(np.arange(0, 90, 0.5)):
        axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        edges = np.ptp(outline @ axes, axis=0)
        if edges.prod() < best.prod():
            best = edges
    return np.array([*np.sort(best), world[:, 2].max() - view.floor])


def times(scene_views: list[RegionView]) -> float:
    """Median time of a frame with five points [ms]."""
    taken = []
    for view in scene_views:
        pixels = np.array([point for point, _ in view.hits[:OBJECTS_TIMED]])
        if len(pixels) == OBJECTS_TIMED:
            depth = DEPTH_MODELS["stereo"](view.depth, view.camera.fx, np.random.default_rng(view.seed))
            begun = time.perf_counter()
            find_regions(depth, view.camera, pixels)
            taken.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(taken) if taken else float("nan")


def picture(parts: list[RegionView]) -> np.ndarray:
    """uint8 BGR: the views with their regions coloured, their points as dots; stereo depth."""
    tiles = []
    for view in parts:
        depth = DEPTH_MODELS["stereo"](view.depth, view.camera.fx, np.random.default_rng(view.seed))
        pixels = np.array([point for point, _ in view.hits]).reshape(-1, 2)
        drawn = view.rgb.copy()
        for number, region in enumerate(find_regions(depth, view.camera, pixels).regions):
            color = np.array(COLORS[number % len(COLORS)])
            drawn[region.rows, region.columns] = (
                0.4 * drawn[region.rows, region.columns] + 0.6 * color
            ).astype(np.uint8)
        for column, row in pixels.tolist():
            cv2.circle(drawn, (round(column), round(row)), 4, (255, 255, 255), -1, cv2.LINE_AA)
        tiles.append(cv2.resize(drawn, (400, 300), interpolation=cv2.INTER_AREA))
    rows = [np.hstack(tiles[start : start + 4]) for start in range(0, len(tiles) - 3, 4)]
    return cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)


def kinds(arranged: int, scenes: int) -> Iterator[tuple[str, Callable[[int], Scene], int]]:
    """Name, maker and number of scenes of each kind."""
    yield "table", Scene.random, scenes
    for name, make in ARRANGEMENTS.items():
        yield name, make, arranged


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=125)
    parser.add_argument("--arranged", type=int, default=24, help="scenes of each kind that is hard")
    parser.add_argument("--cache", type=Path, default=Path(".cache/regions"))
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--picture", type=Path, help="draw regions of each kind of scene here")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rows, shown = [], []
    for kind, make, count in kinds(arguments.arranged, arguments.scenes):
        parts = list(views(kind, make, range(FIRST_SEED, FIRST_SEED + count), arguments.cache))
        asked, right = sum(view.asked for view in parts), sum(len(view.hits) for view in parts)
        print(f"{kind}: objects asked for {asked}, found by the model {right} ({100 * right / asked:.1f} %)")
        shown.append(max(parts[:8], key=lambda view: len(view.hits)))
        for model in DEPTH_MODELS:
            row = {"scene": kind, "depth": model, **score(parts, model).row()}
            rows.append(row)
            if len(rows) == 1:
                print("| " + " | ".join(row) + " |\n" + "|" + "---|" * len(row))
            print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)
        if kind == "table":
            print(f"five objects, 640x480: {times(parts):.1f} ms (load {os.getloadavg()[0]:.1f})")
    if arguments.picture:
        cv2.imwrite(str(arguments.picture), picture(shown))
    if arguments.json:
        figures = {"benchmark": "regions", "load_average": os.getloadavg()[0], "rows": rows}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
