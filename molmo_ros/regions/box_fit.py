# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A box around a visible surface: upright where it stands on a support, else along its principal axes."""

from __future__ import annotations

import cv2
import numpy as np

from molmo_ros.geometry import RigidTransform, quaternion
from molmo_ros.regions.region import OrientedBox, Plane

TRIMMED = 0.003
"""Share of the points that may lie beyond each side: flying pixels and noise must not make it larger."""
MOST_POINTS = 4000


def fit_box(points: np.ndarray, support: Plane | None) -> OrientedBox | None:
    """The box around points float [n, 3] [m]; None for fewer than three.

    On a support it is the rectangle of least area around the points seen along the support's normal (its edge lies
    along one of the hull's; Freeman and Shapira 1975), from the support up to the highest of them.
    """
    points = points[:: len(points) // MOST_POINTS + 1].astype(np.float64)
    if len(points) < 3:
        return None
    if support is None:
        return _principal_box(points)
    up = np.asarray(support.normal)
    x = np.cross(up, (0.0, 0.0, 1.0) if abs(up[2]) < 0.9 else (1.0, 0.0, 0.0))
    x /= np.linalg.norm(x)
    axes = np.stack([x, np.cross(up, x), up], axis=1)
    flat = points @ axes[:, :2]
    (_, _), (_, _), angle = cv2.minAreaRect(flat.astype(np.float32))
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    axes[:, :2] = axes[:, :2] @ np.array([[cos, -sin], [sin, cos]])
    low, high = _extent(points @ axes)
    low[2] = support.offset
    return _box(axes, low, np.maximum(high, low))


def _principal_box(points: np.ndarray) -> OrientedBox:
    axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2].T
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    return _box(axes, *_extent(points @ axes))


def _extent(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.percentile(values, (100 * TRIMMED, 100 - 100 * TRIMMED), axis=0)
    return low, high


def _box(axes: np.ndarray, low: np.ndarray, high: np.ndarray) -> OrientedBox:
    x, y, z = (axes @ ((low + high) / 2)).tolist()
    width, depth, height = (high - low).tolist()
    return OrientedBox(RigidTransform((x, y, z), quaternion.from_matrix(axes)), (width, depth, height))
