# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The visible surface of one object, smoothed, with its normals, and what the camera saw at any place around it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from molmo_ros.regions.region import ObjectRegion

SMOOTHED = 5
"""Depth is averaged over a square of so many pixels of the object."""
LESS_NOISE = 3.0
"""Smoothing divides noise by so much, where neighbouring pixels share some of it."""
SAME_SURFACE = 0.004
"""An average that differs more from the pixel's own depth [m] was taken over an edge, and does not count."""
SAMPLES = 900
"""About so many points of the surface are looked at."""
BASELINE = 2
"""A normal is the cross product of the differences to the pixels so far to each side [px]."""
LEAST_POINTS = 30
BEYOND = 0.006
"""What is so much deeper than a point [m] was seen past it."""
OUTLINE = 2
"""An outline may be so far off [px]."""


@dataclass(frozen=True)
class SeenSurface:
    """Sampled points of an object's surface, in the optical frame.

    Attributes:
        points: float32 [n, 3] [m].
        normals: float32 [n, 3], unit vectors toward the camera; NaN where the surface is too small to tell.
        rows, columns: int [n], the pixels of the points [px].
        raw_noise: Standard deviation of the depth before smoothing [m].
        noise: What the smoothing has left of it [m].
        pitch: Distance of neighbouring pixels on a surface that faces the camera here [m].
        pixel_from_ray: float64 [3, 2]: (x / z, y / z, 1) times this is column and row [px], near the object.
    """

    points: np.ndarray
    normals: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    raw_noise: float
    noise: float
    pitch: float
    pixel_from_ray: np.ndarray

    @classmethod
    def of(cls, surface: np.ndarray, region: ObjectRegion) -> SeenSurface | None:
        """The surface of a region; None where it has fewer than `LEAST_POINTS` points.

        Args:
            surface: [h, w, 3], each pixel's place in the optical frame [m]; NaN without depth.
        """
        if not region.valid:
            return None
        left, top = int(region.columns.min()), int(region.rows.min())
        right, bottom = int(region.columns.max()) + 1, int(region.rows.max()) + 1
        patch = surface[top:bottom, left:right]
        inside = np.zeros(patch.shape[:2], bool)
        inside[region.rows - top, region.columns - left] = True
        inside &= np.isfinite(patch[..., 2])
        rows, columns = _samples(inside)
        if len(rows) < LEAST_POINTS:
            return None
        scale, noise = _smoothing(patch[..., 2], inside)
        smooth = patch * scale[..., None]
        points = smooth[rows, columns]
        rays = np.column_stack([points[:, :2] / points[:, 2:], np.ones(len(points))]).astype(np.float64)
        pixels = np.column_stack([columns + left, rows + top]).astype(np.float64)
        pixel_from_ray = np.linalg.lstsq(rays, pixels, rcond=None)[0]
        focal = float(np.sqrt(abs(np.linalg.det(pixel_from_ray[:2])))) or 1.0
        return cls(
            points,
            _normals(smooth, inside, rows, columns),
            rows + top,
            columns + left,
            noise,
            noise / LESS_NOISE,
            float(np.median(points[:, 2])) / focal,
            pixel_from_ray,
        )

    def in_free_space(self, surface: np.ndarray, points: np.ndarray) -> np.ndarray:
        """bool [n]: whether the camera saw past points [n, 3], so that nothing is there.

        It did where it saw something further away at the point's pixel and around it: outlines are known to a pixel.
        """
        z = points[:, 2]
        rays = points[:, :2] / z[:, None]
        pixels = rays @ self.pixel_from_ray[:2] + self.pixel_from_ray[2]
        height, width = surface.shape[:2]
        free = z > 0
        for right, down in ((0, 0), (OUTLINE, 0), (-OUTLINE, 0), (0, OUTLINE), (0, -OUTLINE)):
            column = np.clip(np.rint(pixels[:, 0]) + right, -1, width).astype(np.int32)
            row = np.clip(np.rint(pixels[:, 1]) + down, -1, height).astype(np.int32)
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            # Where nothing was measured, and outside the image, nobody knows.
            free &= inside & (surface[row * inside, column * inside, 2] > z + BEYOND)
        return free


def _samples(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of about `SAMPLES` pixels on a grid."""
    step = max(1, round(float(np.sqrt(inside.sum() / SAMPLES))))
    rows, columns = np.nonzero(inside[::step, ::step])
    return rows * step, columns * step


def _smoothing(depth: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, float]:
    """float32 [h, w], smoothed depth divided by depth, 1 at edges; and the standard deviation that it took away [m]."""
    own = np.where(inside, depth, 0).astype(np.float32)
    box = (SMOOTHED, SMOOTHED)
    total = cv2.boxFilter(own, -1, box, normalize=False, borderType=cv2.BORDER_CONSTANT)
    count = cv2.boxFilter(inside.astype(np.float32), -1, box, normalize=False, borderType=cv2.BORDER_CONSTANT)
    mean = total / np.maximum(count, 1)
    change = mean - own
    noise = 1.4826 * float(np.median(np.abs(change[inside])))
    usable = inside & (np.abs(change) < SAME_SURFACE + 2 * noise)
    return np.where(usable, mean / np.where(inside, own, 1), 1).astype(np.float32), noise


def _normals(smooth: np.ndarray, inside: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """float32 [n, 3], toward the camera; NaN where a pixel has no neighbours of the object in two directions."""
    height, width = inside.shape

    def neighbour(down: int, right: int) -> np.ndarray:
        r = np.clip(rows + down, 0, height - 1)
        c = np.clip(columns + right, 0, width - 1)
        return np.where(inside[r, c][:, None], smooth[r, c], smooth[rows, columns])

    with np.errstate(invalid="ignore", divide="ignore"):
        across = neighbour(0, BASELINE) - neighbour(0, -BASELINE)
        along = neighbour(BASELINE, 0) - neighbour(-BASELINE, 0)
        normals = np.cross(across, along)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        facing = np.einsum("ij,ij->i", normals, smooth[rows, columns])
    return np.where(facing[:, None] > 0, -normals, normals)
