# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Bodies of revolution about the approach: balls, cylinders, cones, bottles, the body of a mug.

From one side of it, the axis and the radius at each height say how the hidden side goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LAYER = 0.003
"""The radius is measured in layers so high [m]."""
SIDEWAYS = 0.35
"""Sine of the least angle between a normal and the axis for a point that tells where the axis is."""
LEAST_POINTS = 60
LEAST_IN_LAYER = 4
LEAST_SPREAD = 0.06
"""Of the two directions in the plane, the weaker must have this share of the normals: a flat face has none."""
ROUND = 0.0012
"""Largest median deviation of the radius within a layer, beyond the noise [m]."""
OUTLIER = 0.003
"""What deviates more [m] belongs to something on the body, such as a handle."""
MOST_TWIST = np.radians(14.0)
"""Largest median angle between the normals and the way out from the axis: the faces of a box have more."""
LEAST_BODY = 0.65
"""Share of the points that must be on the body."""
RING = 36
"""Points of each completed ring."""


@dataclass(frozen=True)
class Revolution:
    """A body of revolution about the z axis of the frame its points were given in.

    Attributes:
        centre: float64 [2], where the axis is [m].
        heights: float64 [k], of the layers that were seen, from the top [m].
        radii: float64 [k] [m].
    """

    centre: np.ndarray
    heights: np.ndarray
    radii: np.ndarray

    def rings(self) -> np.ndarray:
        """float32 [k * RING, 3]: points all around."""
        turn = np.arange(RING) * (2 * np.pi / RING)
        around = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        plan = self.centre + self.radii[:, None, None] * around
        heights = np.broadcast_to(self.heights[:, None, None], (*plan.shape[:2], 1))
        return np.concatenate([plan, heights], axis=2).reshape(-1, 3).astype(np.float32)

    def deviations(self, points: np.ndarray) -> np.ndarray:
        """How far points [n, 3] are outside the body, across the axis [m]; negative inside."""
        radius = np.interp(-points[:, 2], -self.heights, self.radii)
        return np.hypot(points[:, 0] - self.centre[0], points[:, 1] - self.centre[1]) - radius


def fit_revolution(points: np.ndarray, normals: np.ndarray, noise: float) -> Revolution | None:
    """The body of revolution that points are on; None where they are on none.

    The normals of such a body meet its axis, which gives a start by least squares; then the axis is moved until each
    layer is a circle.

    Args:
        points: [n, 3] in a frame whose z axis is the direction of the axis [m].
        normals: [n, 3] in the same frame; NaN where unknown.
        noise: Standard deviation of the points [m].
    """
    sideways = np.hypot(normals[:, 0], normals[:, 1])
    with np.errstate(invalid="ignore"):
        tells = sideways > SIDEWAYS
    if tells.sum() < LEAST_POINTS:
        return None
    at = points[tells].astype(np.float64)
    out = normals[tells, :2] / sideways[tells, None]
    centre = _meeting_place(at[:, :2], out)
    if centre is None:
        return None
    outer = np.einsum("ij,ij->i", at[:, :2] - centre, out) > 0
    if outer.sum() < LEAST_POINTS:
        return None
    at = at[outer]
    top = float(at[:, 2].max())
    layer = ((top - at[:, 2]) / LAYER).astype(int)
    kept = np.ones(len(at), bool)
    for _ in range(3):
        offset = at[:, :2] - centre
        radius = np.hypot(offset[:, 0], offset[:, 1])
        typical = _medians(radius[kept], layer[kept], int(layer.max()) + 1)
        error = radius - typical[layer]
        error = np.where(np.isfinite(error), error, np.inf)
        kept = np.abs(error) < OUTLIER + 2 * noise
        if kept.sum() < LEAST_POINTS:
            return None
        centre = centre + _shift(error[kept], offset[kept] / radius[kept, None], layer[kept])
    deviation = float(np.median(np.abs(error)))
    outward = (at[:, :2] - centre) / radius[:, None]
    twist = np.arccos(np.clip(np.einsum("ij,ij->i", outward, out[outer]), -1, 1))
    if deviation > ROUND + noise or kept.mean() < LEAST_BODY or np.median(twist) > MOST_TWIST:
        return None
    seen = np.isfinite(typical) & (np.bincount(layer[kept], minlength=len(typical)) >= LEAST_IN_LAYER)
    if not seen.any():
        return None
    heights = top - LAYER * (np.arange(len(typical)) + 0.5)
    return Revolution(centre, heights[seen], typical[seen])


def _meeting_place(at: np.ndarray, out: np.ndarray) -> np.ndarray | None:
    """[2] the point that the lines along directions [n, 2] through points [n, 2] pass nearest; None if parallel."""
    across = np.stack([-out[:, 1], out[:, 0]], axis=1)
    distance = np.einsum("ij,ij->i", across, at)
    kept = np.ones(len(at), bool)
    centre = at.mean(axis=0)
    for _ in range(3):
        square = across[kept].T @ across[kept]
        if np.linalg.eigvalsh(square)[0] < LEAST_SPREAD * kept.sum():
            return None
        centre = np.linalg.solve(square, across[kept].T @ distance[kept])
        miss = np.abs(across @ centre - distance)
        kept = miss <= max(float(np.percentile(miss, 70)), 0.002)
    return centre


def _medians(values: np.ndarray, layer: np.ndarray, count: int) -> np.ndarray:
    """float64 [count]: the median of each layer's values; NaN for a layer without."""
    order = np.lexsort((values, layer))
    sizes = np.bincount(layer, minlength=count)
    starts = np.cumsum(sizes) - sizes
    middle = np.minimum(starts + sizes // 2, len(values) - 1)
    return np.where(sizes > 0, values[order][middle], np.nan)


def _shift(error: np.ndarray, outward: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """[2] how far the axis is to move so that each layer's radii differ least (one step of Gauss-Newton)."""
    sizes = np.maximum(np.bincount(layer), 1)
    mean = np.stack([np.bincount(layer, outward[:, axis]) / sizes for axis in (0, 1)], axis=1)
    free = outward - mean[layer]
    error = error - (np.bincount(layer, error) / sizes)[layer]
    square = free.T @ free + 1e-9 * np.eye(2)
    return np.clip(np.linalg.solve(square, free.T @ error), -0.01, 0.01)
