# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Holds planned grasps against the true shapes of simulated objects, on scenes that training never saw.

    python -m benchmarks.grasps [--scenes 130] [--depth stereo] [--exists] [--json FILE]

Each object that shows enough pixels in a 640x480 view gets a point inside its mask (the pixel farthest from the mask's
rim: pointing is not measured here), a region from noisy depth (`sim/depth_noise.py`), and grasps. The best grasp of
each is held against the solid shapes, hidden sides included:

* width: planned less true, of what the fingers close on; opening: planned less the true width and the room that was
  planned on both sides, which is the same error;
* off: the object's middle from the middle between the fingers;
* hits: the open gripper or its straight way in cuts something by more than 1 mm, the object itself or another;
* slope: the larger angle between the closing axis and the true normal where a finger touches; 0 is antipodal;
* exists (with --exists): of the objects without a grasp, those for which a search over the true shapes from above
  finds one (12 closing axes, 3 places across, 4 heights).

Time: frames of five objects, the median of the processor time that `plan_grasps` alone takes on one thread, so that
other work on the machine hardly counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.true_geometry import TrueGeometry
from molmo_ros.geometry import PinholeCamera, RigidTransform, quaternion
from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.manipulation.scene_grasps import plan_grasps
from molmo_ros.regions.scene import find_regions
from molmo_ros.sim.depth_noise import DEPTH_MODELS
from molmo_ros.sim.renderer import Rendering, render
from molmo_ros.sim.scene import SENSOR, Scene

FIRST_SEED = 50_000
SMALLEST = 150
"""Objects that show fewer pixels are left out."""
CUT = 0.001
"""A gripper so far inside something [m] hits it."""
OBJECTS_TIMED = 5


@dataclass
class GraspScore:
    """What came of the grasps of one kind of object."""

    objects: int = 0
    widths: list[float] = field(default_factory=list)
    """Planned less true [m]."""
    offs: list[float] = field(default_factory=list)
    slopes: list[float] = field(default_factory=list)
    hits: int = 0
    empty: int = 0
    """Grasps whose fingers close on nothing."""
    missed: int = 0
    """Objects without a grasp though one exists."""

    @property
    def planned(self) -> int:
        """How many objects got a grasp."""
        return len(self.widths) + self.empty

    def row(self) -> dict[str, Any]:
        """The figures of the table."""
        errors = 1000 * np.abs(np.array(self.widths or [np.nan]))
        return {
            "objects": self.objects,
            "with a grasp [%]": round(100 * self.planned / max(self.objects, 1), 1),
            "missed": self.missed,
            "width error median [mm]": round(float(np.median(errors)), 1),
            "within 4 mm [%]": round(100 * float(np.mean(errors <= 4)), 1),
            "off median [mm]": round(1000 * float(np.median(np.abs(self.offs or [np.nan]))), 1),
            "slope median [deg]": round(float(np.degrees(np.median(self.slopes or [np.nan]))), 1),
            "hits [%]": round(100 * self.hits / max(self.planned, 1), 1),
            "closes on nothing": self.empty,
        }


def inner_points(frame: Rendering) -> tuple[list[int], np.ndarray]:
    """The objects that show enough, and [n, 2] a pixel in the middle of each."""
    shown, pixels = [], []
    for index in range(int(frame.segmentation.max()) + 1):
        mask = (frame.segmentation == index).astype(np.uint8)
        if mask.sum() >= SMALLEST:
            inside = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
            row, column = np.unravel_index(int(inside.argmax()), inside.shape)
            shown.append(index)
            pixels.append((int(column), int(row)))
    return shown, np.array(pixels).reshape(-1, 2)


def exists(truth: TrueGeometry, index: int, gripper: Gripper) -> bool:
    """Whether the gripper can close on an object from above, by its true shape."""
    geoms = truth.geoms_of(index)
    middle = truth.scene.data.geom_xpos[geoms].mean(axis=0)
    for angle in np.radians(np.arange(0, 180, 15)):
        cos, sin = np.cos(angle), np.sin(angle)
        turn = quaternion.from_matrix(np.array([[sin, cos, 0.0], [-cos, sin, 0.0], [0.0, 0.0, -1.0]]))
        for across in (0.0, -0.012, 0.012):
            for tip in (0.006, 0.012, 0.025, 0.04):
                place = np.array([middle[0] + sin * across, middle[1] - cos * across, tip])
                found = truth.contact(RigidTransform(tuple(place.tolist()), turn), index, gripper)
                if not 0 < found.width <= gripper.opening - 0.006 or found.slope > np.radians(33):
                    continue
                place[:2] += found.off * np.array([cos, sin])
                pose = RigidTransform(tuple(place.tolist()), turn)
                if truth.clearance(pose, min(found.width + 0.008, gripper.opening), gripper) > 0:
                    return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=130)
    parser.add_argument("--depth", choices=sorted(DEPTH_MODELS), default="stereo")
    parser.add_argument("--exists", action="store_true", help="search the true shapes where none was planned")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    gripper = Gripper()
    scores: dict[str, GraspScore] = {}
    reasons: Counter[str] = Counter()
    taken = []
    for seed in range(FIRST_SEED, FIRST_SEED + arguments.scenes):
        scene = Scene.random(seed)
        frame = render(scene, *SENSOR)
        shown, pixels = inner_points(frame)
        k = frame.intrinsics
        camera = PinholeCamera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], *SENSOR)
        depth = DEPTH_MODELS[arguments.depth](frame.depth, camera.fx, np.random.default_rng(seed))
        if len(shown) >= OBJECTS_TIMED:
            five = find_regions(depth, camera, pixels[:OBJECTS_TIMED])
            begun = time.thread_time()
            plan_grasps(five, gripper)
            taken.append((time.thread_time() - begun) * 1e3)
        truth = TrueGeometry(scene)
        for index, grasps in zip(
            shown, plan_grasps(find_regions(depth, camera, pixels), gripper), strict=True
        ):
            kinds = (scores.setdefault(name, GraspScore()) for name in (scene.objects[index].shape, "all"))
            parts = tuple(kinds)
            missed = not grasps.grasps and arguments.exists and exists(truth, index, gripper)
            if not grasps.grasps:
                reasons["".join(c for c in grasps.reason if not (c.isdigit() or c == "."))] += 1
                for part in parts:
                    part.objects += 1
                    part.missed += missed
                continue
            best = grasps.grasps[0]
            pose = truth.world_from_grasp(best.optical_from_grasp)
            found = truth.contact(pose, index, gripper)
            hit = truth.clearance(pose, best.opening, gripper) < -CUT
            for part in parts:
                part.objects += 1
                part.hits += hit
                if found.width > 0:
                    part.widths.append(best.width - found.width)
                    part.offs.append(found.off)
                    part.slopes.append(found.slope)
                else:
                    part.empty += 1
    rows = [
        {"object": name, **scores[name].row()}
        for name in sorted(scores, key=lambda name: (name == "all", name))
    ]
    print("| " + " | ".join(rows[0]) + " |\n" + "|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    for reason, count in reasons.most_common():
        print(f"{count} without a grasp: {reason}")
    median = statistics.median(taken) if taken else float("nan")
    print(f"grasps of five objects: {median:.1f} ms of one core (load {os.getloadavg()[0]:.1f})")
    if arguments.json:
        figures = {"benchmark": "grasps", "depth": arguments.depth, "five objects [ms]": median, "rows": rows}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
