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
    best, best_value, best_radius, largest = -1, 0.0, 0.0, 0.0
    for i in tried.tolist():
        offsets = points - points[i]
        off_plane = np.abs(offsets @ normals[i])
        distances = np.linalg.norm(offsets, axis=1)
        # Everything nearer than the first point that is off the plane is flat; the outline ends it, too.
        radius = float(distances[off_plane > FLAT + 3 * seen.noise].min(initial=np.inf))
        radius = min(radius, _to_outline(seen, usable, i))
        largest = max(largest, radius)
        value = radius * float(np.exp(-np.square(np.linalg.norm(points[i] - middle) / FAR_OFF)))
        if value > best_value and radius >= LEAST_RADIUS:
            best, best_value, best_radius = i, value, radius
    if best < 0:
        return (
            f"no patch is flat enough: the largest flat disc has a radius of {largest:.3f} m, "
            f"of {LEAST_RADIUS:g} m at least"
        )
    x, y, z = points[best].tolist()
    nx, ny, nz = normals[best].tolist()
    out = quaternion.to_matrix(surface_orientation((nx, ny, nz)))
    into = np.stack([out[:, 0], -out[:, 1], -out[:, 2]], axis=1)
    return Suction(RigidTransform((x, y, z), quaternion.from_matrix(into)), best_radius)


def _to_outline(seen: SeenSurface, usable: np.ndarray, index: int) -> float:
    """Distance [m] from a point to where the seen surface ends, in the worse of eight directions."""
    points = seen.points[usable]
    rows, columns = (
        seen.rows[usable] - seen.rows[usable][index],
        seen.columns[usable] - seen.columns[usable][index],
    )
    sector = (np.arctan2(rows, columns) / (np.pi / 4)).round().astype(int) % 8
    distances = np.linalg.norm(points - points[index], axis=1)
    reach = np.zeros(8)
    np.maximum.at(reach, sector, distances)
    return float(reach.min())
