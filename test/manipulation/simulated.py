# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The simulator's scenes with its own segmentation as regions: what a perfect finder of regions would say."""

from __future__ import annotations

import numpy as np

from molmo_ros.geometry import PinholeCamera
from molmo_ros.regions.region import ObjectRegion, Plane, PointsOn, SceneRegions
from molmo_ros.sim.renderer import Rendering, render
from molmo_ros.sim.scene import Camera, Scene


def surface_of(depth: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """float32 [h, w, 3], each pixel's place in the optical frame [m]."""
    height, width = depth.shape
    camera = PinholeCamera.from_camera_info(k=intrinsics.ravel(), width=width, height=height)
    rows, columns = np.mgrid[:height, :width]
    points = camera.deproject(np.stack([columns.ravel(), rows.ravel()], axis=1), depth.ravel())
    return points.reshape(height, width, 3).astype(np.float32)


def plane_of(camera: Camera, height: float = 0.0) -> Plane:
    """The horizontal plane at a height of the world, in the optical frame."""
    normal = camera.world_from_optical.T @ (0.0, 0.0, 1.0)
    x, y, z = normal.tolist()
    return Plane((x, y, z), height - float(camera.position[2]))


def region_of(surface: np.ndarray, mask: np.ndarray, support: Plane | None) -> ObjectRegion:
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return ObjectRegion.none(PointsOn.NOTHING, "not in view")
    points = surface[rows, columns]
    left, top = int(columns.min()), int(rows.min())
    window = (left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)
    return ObjectRegion(
        PointsOn.OBJECT,
        "",
        rows.astype(np.int32),
        columns.astype(np.int32),
        points[np.isfinite(points).all(axis=1)],
        window,
        support=support,
    )


def true_regions(frame: Rendering, camera: Camera, depth: np.ndarray | None = None) -> SceneRegions:
    """Each object of a rendering, in the scene's order."""
    surface = surface_of(frame.depth if depth is None else depth, frame.intrinsics)
    table = plane_of(camera)
    count = int(frame.segmentation.max()) + 1
    regions = tuple(region_of(surface, frame.segmentation == index, table) for index in range(count))
    return SceneRegions(surface, (table,), regions)


def seen(seed: int, width: int = 640, height: int = 480) -> tuple[Scene, Rendering, SceneRegions]:
    """A random scene, how it looks, and its regions."""
    scene = Scene.random(seed)
    frame = render(scene, width, height)
    return scene, frame, true_regions(frame, scene.camera)
