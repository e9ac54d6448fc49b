# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points fixed to the objects of a still scene: where any other camera sees them, and whether they show."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from molmo_ros.sim.renderer import Rendering
from molmo_ros.sim.scene import Camera

SAME_SURFACE = 0.01
"""A point shows where the surface that is seen lies no further from it in depth [m]."""
SMALLEST = 30
"""Objects that show fewer pixels have no point."""


@dataclass(frozen=True)
class SeenPoints:
    """The points in one frame.

    Attributes:
        pixels: [n, 2], 0 at the image's left/top edge, also where a point does not show [px].
        visible: bool [n].
    """

    pixels: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class SurfacePoints:
    """n points.

    Attributes:
        objects: int [n], index into `Scene.objects`.
        world: [n, 3] in the world frame [m].
        pixels: [n, 2] in the frame they were chosen in, 0 at the image's left/top edge [px].
    """

    objects: np.ndarray
    world: np.ndarray
    pixels: np.ndarray

    @classmethod
    def inside_objects(cls, frame: Rendering, camera: Camera) -> SurfacePoints:
        """The pixel of every object in view that is furthest from the object's outline."""
        objects, rows, columns = [], [], []
        for index in range(int(frame.segmentation.max()) + 1):
            mask = np.pad(frame.segmentation == index, 1).astype(np.uint8)
            if mask.sum() >= SMALLEST:
                inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5)[1:-1, 1:-1]
                row, column = np.unravel_index(int(inside.argmax()), inside.shape)
                objects.append(index)
                rows.append(int(row))
                columns.append(int(column))
        pixels = np.array([columns, rows], float).T.reshape(-1, 2)
        k = frame.intrinsics
        rays = np.column_stack([(pixels - k[:2, 2]) / k.diagonal()[:2], np.ones(len(pixels))])
        depth = frame.depth[rows, columns].astype(float)
        world = (rays * depth[:, None]) @ camera.world_from_optical.T + camera.position
        return cls(np.array(objects, int), world, pixels + 0.5)

    def seen_in(self, frame: Rendering, camera: Camera) -> SeenPoints:
        """The same points in a frame of another camera."""
        optical = (self.world - camera.position) @ camera.world_from_optical
        k = frame.intrinsics
        pixels = optical[:, :2] / optical[:, 2:] * k.diagonal()[:2] + k[:2, 2] + 0.5
        height, width = frame.depth.shape
        inside = (optical[:, 2] > 0) & (pixels >= 0).all(axis=1) & (pixels < (width, height)).all(axis=1)
        visible = inside.copy()
        column, row = pixels[inside].astype(int).T
        visible[inside] = (frame.segmentation[row, column] == self.objects[inside]) & (
            np.abs(frame.depth[row, column] - optical[inside, 2]) < SAME_SURFACE
        )
        return SeenPoints(pixels, visible)
