# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where a suction cup holds an object: the middle of the largest flat disc on its visible surface."""

from __future__ import annotations

import numpy as np

from molmo_ros.geometry import RigidTransform, quaternion
from molmo_ros.geometry.surface import surface_orientation
from molmo_ros.manipulation.grasp import Suction
from molmo_ros.manipulation.seen_surface import SeenSurface

FLAT = 0.001
"""A surface may be so far off a plane, beyond the noise [m]."""
TRIED = 24
"""So many points are tried as the middle."""
LEAST_RADIUS = 0.004
FAR_OFF = 0.04
"""A disc so far from the middle of the surface [m] is worth a third of its radius."""


def suction_place(seen: SeenSurface) -> Suction | str:
    """The best disc, large and near the middle of what is seen; or why there is none."""
    usable = np.isfinite(seen.normals).all(axis=1)
    points, normals = seen.points[usable].astype(np.float64), seen.normals[usable].astype(np.float64)
    if not len(points):
        return "too little of the surface is seen to tell which way it faces"
    tried = np.linspace(0, len(points) - 1, min(TRIED, len(points))).astype(int)
    middle = np.median(points, axis=0)
    offsets = points - points[tried][:, None]
    off_plane = np.abs(offsets @ normals[tried][:, :, None])[..., 0]
    distances = np.linalg.norm(offsets, axis=2)
    # Everything nearer than the first point that is off the plane is flat; the outline ends it, too.
    radii = np.where(off_plane > FLAT + 3 * seen.noise, distances, np.inf).min(axis=1)
    radii = np.minimum(radii, _to_outline(seen, usable, tried, distances))
    values = radii * np.exp(-np.square(np.linalg.norm(points[tried] - middle, axis=1) / FAR_OFF))
    values[radii < LEAST_RADIUS] = 0
    chosen = int(values.argmax())
    best, best_radius, largest = int(tried[chosen]), float(radii[chosen]), float(radii.max())
    if values[chosen] <= 0:
        return (
            f"no patch is flat enough: the largest flat disc has a radius of {largest:.3f} m, "
            f"of {LEAST_RADIUS:g} m at least"
        )
    x, y, z = points[best].tolist()
    nx, ny, nz = normals[best].tolist()
    out = quaternion.to_matrix(surface_orientation((nx, ny, nz)))
    into = np.stack([out[:, 0], -out[:, 1], -out[:, 2]], axis=1)
    return Suction(RigidTransform((x, y, z), quaternion.from_matrix(into)), best_radius)


def _to_outline(
    seen: SeenSurface, usable: np.ndarray, tried: np.ndarray, distances: np.ndarray
) -> np.ndarray:
    """[t] distance [m] from each tried point to where the seen surface ends, in the worse of eight directions.

    Args:
        usable: bool, which points of the surface count.
        tried: [t], places among those.
        distances: [t, n], from each tried one to all of them [m].
    """
    rows, columns = (values[usable].astype(np.float32) for values in (seen.rows, seen.columns))
    angles = np.arctan2(rows - rows[tried][:, None], columns - columns[tried][:, None])
    sectors = np.round(angles / np.float32(np.pi / 4)).astype(np.int8) % 8
    reach = [np.where(sectors == sector, distances, 0).max(axis=1) for sector in range(8)]
    return np.min(reach, axis=0)
