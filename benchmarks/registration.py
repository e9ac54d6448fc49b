# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How right and how fast depth of another camera, or a cloud, is as depth of a picture.

    python -m benchmarks.registration [--scenes 10]

Simulated tables are seen by a picture's camera and by a depth camera beside it, of another size and lens; the truth is
what rays from the picture's camera meet. Errors are of pixels whose surface the depth camera saw as well, those on
another surface left out; `other surface` is the share of pixels further off than two surfaces are apart (15 mm or 2 %),
all of them at edges; `holes` is the share of seen pixels without depth; `not seen` is what only the picture's camera
sees, and `made up` the share of that which has depth all the same. Times are of the processor, one thread, the
shortest and the median.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np

from molmo_ros.geometry import PinholeCamera, RigidTransform
from molmo_ros.geometry.depth import SURFACE_GAP_M, SURFACE_GAP_RATIO
from molmo_ros.geometry.quaternion import from_matrix
from molmo_ros.geometry.registration import register_depth, register_points
from molmo_ros.sim.renderer import _cast
from molmo_ros.sim.scene import Scene

BARREL, PINCUSHION = (-0.2, 0.05, 0.001, -0.001, 0.0), (0.05, 0.08, 0.001, -0.002, 0.0)
TURN = from_matrix(cv2.Rodrigues(np.array([0.01, -0.015, 0.008]))[0])
"""Of the depth camera: nothing is mounted quite straight."""


@dataclass(frozen=True)
class Pair:
    """A depth camera and a picture's.

    Attributes:
        depth, picture: Width, height [px], and horizontal view [deg].
        baseline: How far they are apart [m].
        lenses: Distortion of the depth camera's lens, and of the picture's.
    """

    depth: tuple[int, int, float]
    picture: tuple[int, int, float]
    baseline: float
    lenses: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

    @property
    def name(self) -> str:
        """In the table."""
        sizes = " to ".join(f"{width}x{height}" for width, height, _ in (self.depth, self.picture))
        return f"{sizes}, {self.baseline * 1e3:.0f} mm" + (", with lenses" if any(self.lenses) else "")


PAIRS = (
    Pair((640, 480, 70.0), (1280, 720, 69.0), 0.015),
    Pair((848, 480, 87.0), (1280, 720, 69.0), 0.015),
    Pair((848, 480, 87.0), (1280, 720, 69.0), 0.05),
    Pair((640, 480, 70.0), (1280, 720, 69.0), 0.05, (BARREL, PINCUSHION)),
    Pair((640, 480, 60.0), (640, 480, 60.0), 0.05),
    Pair((1280, 720, 69.0), (640, 480, 60.0), 0.05),
)


@dataclass
class RegistrationErrors:
    """What came of one kind of input; shares of pixels, by scene.

    Attributes:
        errors: Of pixels on the right surface [m].
        other, holes, unseen, made_up: See the module.
        times: Of a registration [s].
    """

    errors: list[np.ndarray] = field(default_factory=list)
    other: list[float] = field(default_factory=list)
    holes: list[float] = field(default_factory=list)
    unseen: list[float] = field(default_factory=list)
    made_up: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def add(self, registered: np.ndarray, truth: np.ndarray, seen: np.ndarray) -> None:
        """The pixels of one scene."""
        error, gap = np.abs(registered - truth), np.maximum(SURFACE_GAP_M, SURFACE_GAP_RATIO * truth)
        there = np.isfinite(error)
        self.errors.append(error[seen & there & (error < gap)])
        self.other.append(float((error > gap)[there].mean()))
        self.holes.append(float(np.isnan(registered[seen]).mean()))
        unseen = np.isfinite(truth) & ~seen
        self.unseen.append(float(unseen.mean()))
        self.made_up.append(float(np.isfinite(registered[unseen]).mean()) if unseen.any() else 0.0)

    def row(self, name: str) -> str:
        """Of the table."""
        errors = np.concatenate(self.errors) * 1e3
        shares = (100 * statistics.mean(one) for one in (self.other, self.holes, self.unseen, self.made_up))
        cells = [name, *(f"{one:.3f} mm" for one in np.percentile(errors, (50, 95, 99)))]
        cells += [f"{one:.2f} %" for one in shares]
        cells += [f"{1e3 * min(self.times):.1f} ms", f"{1e3 * statistics.median(self.times):.1f} ms"]
        return f"| {' | '.join(cells)} |"


def pinhole(width: int, height: int, view: float, lens: tuple[float, ...]) -> PinholeCamera:
    """A camera whose lens is a little off the sensor's centre."""
    focal = width / 2 / math.tan(math.radians(view) / 2)
    return PinholeCamera(
        focal, focal * 1.002, width / 2 + 2.3, height / 2 - 1.9, width, height, "plumb_bob", lens
    )


@lru_cache
def rays(camera: PinholeCamera) -> np.ndarray:
    """x / z, y / z and 1 of each pixel, [h * w, 3]; NaN where the lens has none."""
    pixels = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1)
    return camera.deproject(pixels.reshape(-1, 2), np.ones(camera.width * camera.height))


def seen_from(scene: Scene, camera: PinholeCamera, world_from_optical: RigidTransform) -> np.ndarray:
    """Depth float32 [h, w] of the scene [m]; NaN where there is nothing."""
    own = rays(camera)
    there = np.isfinite(own).all(axis=1)
    directions = world_from_optical.rotate(np.nan_to_num(own))
    distance, geom, _ = _cast(scene, np.array(world_from_optical.translation), directions)
    return np.where((geom >= 0) & there, distance, np.nan).reshape(camera.height, -1).astype(np.float32)


def seen_by_both(
    truth: np.ndarray,
    camera: PinholeCamera,
    depth: np.ndarray,
    depth_camera: PinholeCamera,
    optical_from_depth: RigidTransform,
) -> np.ndarray:
    """bool [h, w]: pixels whose surface is the one that the depth camera has at its nearest pixel."""
    there = optical_from_depth.inverse().apply(rays(camera) * truth.reshape(-1, 1))
    pixels = np.nan_to_num(depth_camera.project(there), nan=-9)
    column, row = np.rint(pixels).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < depth_camera.width) & (row < depth_camera.height)
    seen = np.zeros(len(there), bool)
    apart = np.abs(depth[row[inside], column[inside]] - there[inside, 2])
    seen[inside] = apart < np.maximum(SURFACE_GAP_M, SURFACE_GAP_RATIO * there[inside, 2])
    return seen.reshape(truth.shape)


def timed(register: Callable[[], np.ndarray], times: list[float], rounds: int) -> np.ndarray:
    """What it returns; how long each round took is added."""
    registered = register()  # what depends on the calibration alone is kept
    for _ in range(rounds):
        begin = time.thread_time()
        register()
        times.append(time.thread_time() - begin)
    return registered


def measured(pair: Pair, scenes: int, rounds: int = 10) -> tuple[RegistrationErrors, RegistrationErrors]:
    """Depth images of a pair, and the same as unorganised clouds, over so many scenes."""
    depth_camera, camera = pinhole(*pair.depth, pair.lenses[0]), pinhole(*pair.picture, pair.lenses[1])
    optical_from_depth = RigidTransform((pair.baseline, 0.003, -0.004), TURN)
    images, clouds = RegistrationErrors(), RegistrationErrors()
    rng = np.random.default_rng(0)
    for seed in range(scenes):
        scene = Scene.random(seed)
        x, y, z = scene.camera.position.tolist()
        world_from_optical = RigidTransform((x, y, z), from_matrix(scene.camera.world_from_optical))
        depth = seen_from(scene, depth_camera, world_from_optical @ optical_from_depth)
        truth = seen_from(scene, camera, world_from_optical)
        seen = seen_by_both(truth, camera, depth, depth_camera, optical_from_depth)

        def by_image(depth: np.ndarray = depth) -> np.ndarray:
            return register_depth(depth, depth_camera, camera, optical_from_depth)

        points = rng.permutation((rays(depth_camera) * depth.reshape(-1, 1)).astype(np.float32))

        def by_points(points: np.ndarray = points) -> np.ndarray:
            return register_points(points, camera, optical_from_depth)

        images.add(timed(by_image, images.times, rounds), truth, seen)
        clouds.add(timed(by_points, clouds.times, rounds), truth, seen)
    return images, clouds


def large_cloud(points: int, rounds: int = 5) -> list[float]:
    """Times of a cloud of so many points, half of them in view [s]."""
    camera = pinhole(1280, 720, 69.0, ())
    cloud = np.random.default_rng(0).normal((0, 0, 1.5), 0.7, (points, 3)).astype(np.float32)
    times: list[float] = []
    timed(lambda: register_points(cloud, camera, RigidTransform()), times, rounds)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print(
        "| depth to picture | median | p95 | p99 | other surface | holes | not seen | made up | shortest | median |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for pair in PAIRS:
        images, clouds = measured(pair, arguments.scenes)
        print(images.row(pair.name), flush=True)
        print(clouds.row(f"{pair.name}, as a cloud"), flush=True)
    times = large_cloud(3_000_000)
    print(f"\na cloud of 3 million points: {1e3 * min(times):.0f} ms")


if __name__ == "__main__":
    main()
