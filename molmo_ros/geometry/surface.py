# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which way a surface faces at a pixel of a depth image, for grasps along its normal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molmo_ros.geometry import quaternion
from molmo_ros.geometry.camera import PinholeCamera
from molmo_ros.geometry.depth import DepthPixels, NoDepthError, pixels_around, surface_at
from molmo_ros.geometry.quaternion import Quaternion

NEIGHBOURHOOD = 3
"""The plane is fitted to a window this many times the one that depth is read from: noise tilts a small patch."""
ROUNDS = 3
"""How often the plane is fitted to the pixels that lie on it."""
INLIER_SIGMAS = 2.5
"""Pixels further from the plane, in standard deviations of the noise, lie on something else."""
LEAST_NOISE_M = 0.0005
"""Noise is taken to be at least this [m]: depth in whole millimetres looks free of it."""
LEAST_PIXELS = 9
MOST_ERROR_RAD = np.radians(15.0)
"""A normal with a larger standard error is not given."""
ALONG_X = 0.9
"""Cosine from which on a normal counts as parallel to the frame's x axis."""


@dataclass(frozen=True)
class SurfaceNormal:
    """The normal of the surface at one pixel, or why there is none.

    Attributes:
        normal: Unit vector out of the surface, toward the camera, in the optical frame (REP-103: x right,
            y down, z forward); None where there is none. Never NaN.
        residual: Root mean square distance of the pixels from the plane [m].
        error: Standard error of the normal's direction that this noise causes [rad].
        valid: How many pixels the plane was fitted to.
        reason: Empty where `normal` is given; otherwise a sentence.
    """

    normal: tuple[float, float, float] | None
    residual: float = 0.0
    error: float = 0.0
    valid: int = 0
    reason: str = ""


def surface_normal(
    depth: np.ndarray,
    camera: PinholeCamera,
    column: float,
    row: float,
    *,
    window: int = 7,
    minimum: float = 0.0,
    maximum: float = np.inf,
) -> SurfaceNormal:
    """The normal of the surface whose depth `depth_at` reads with the same arguments.

    A plane through that surface's pixels is the start; then all pixels of a wider window that lie on the
    plane are taken and it is fitted again, so that the background, a neighbouring face and outliers stay out.

    On a plane n . p = -d the inverse depth is linear in the pixel's ray r = p / z: 1 / z = r . (-n / d). Its
    least squares fit (the "fast approximate least squares" of Badino et al. 2011, "Fast and accurate
    computation of surface normals from range images", with depth for range) takes the noise to be along the
    rays, where a depth camera has it; total least squares would turn toward the ray where the noise is as
    large as the patch.

    Args:
        depth: [h, w], uint16 [mm] or floating [m], aligned to the camera's image.
        camera: Intrinsics of that image.
        column, row: Pixel [px], whole numbers at pixel centres.
        window: Edge of the square window that the surface is chosen in [px], odd.
        minimum, maximum: Depths outside are invalid [m].
    """
    try:
        seed = surface_at(depth, column, row, window=window, minimum=minimum, maximum=maximum)
        near = pixels_around(depth, column, row, window=NEIGHBOURHOOD * window)
    except NoDepthError as error:
        return SurfaceNormal(None, reason=str(error))
    near = near.chosen((near.depth >= minimum) & (near.depth <= maximum))
    rays, z = _rays(seed, camera)
    near_rays, near_z = _rays(near, camera)
    for _ in range(ROUNDS):
        if len(z) < LEAST_PIXELS:
            return SurfaceNormal(
                None,
                valid=len(z),
                reason=f"pixels that show the surface at the point: {len(z)}, a plane takes {LEAST_PIXELS}",
            )
        plane = np.linalg.lstsq(rays, 1 / z, rcond=None)[0]
        noise = max(1.4826 * float(np.median(np.abs(_off_plane(rays, z, plane)))), LEAST_NOISE_M)
        on_plane = np.abs(_off_plane(near_rays, near_z, plane)) <= INLIER_SIGMAS * noise
        rays, z = near_rays[on_plane], near_z[on_plane]
    return _normal(rays, z, plane, noise)


def surface_orientation(normal: tuple[float, float, float]) -> Quaternion:
    """The orientation (x, y, z, w) of a pose on a surface: its z axis is the outward normal.

    So z points away from the object: a gripper approaches along -z. The turn about z, which a normal leaves open,
    is fixed by the frame the normal is given in: the pose's x axis is as close as it can be to the frame's x axis,
    or to its y axis where the normal is within 26 degrees of the x axis. In the optical frame of a camera, where
    a visible surface is hardly ever that far turned away, x points right in the image.

    Args:
        normal: Unit vector, in any frame.
    """
    z = np.asarray(normal, dtype=np.float64)
    z = z / np.linalg.norm(z)
    guide = np.array([0.0, 1.0, 0.0]) if abs(z[0]) > ALONG_X else np.array([1.0, 0.0, 0.0])
    x = guide - (guide @ z) * z
    x /= np.linalg.norm(x)
    return quaternion.from_matrix(np.stack([x, np.cross(z, x), z], axis=1))


def _rays(pixels: DepthPixels, camera: PinholeCamera) -> tuple[np.ndarray, np.ndarray]:
    """Rays [n, 3] with z = 1, and depths [n] [m], of the pixels that the lens model has a ray for."""
    places = np.stack([pixels.columns, pixels.rows], axis=1)
    rays = camera.deproject(places, np.ones(len(places)))
    valid = np.isfinite(rays).all(axis=1)
    return rays[valid], pixels.depth[valid]


def _off_plane(rays: np.ndarray, z: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """How far the depths lie behind the plane, along the optical axis [m]; infinite where it is not in front."""
    inverse = rays @ plane
    return np.where(inverse > 0, z - 1 / np.where(inverse > 0, inverse, 1.0), np.inf)


def _normal(rays: np.ndarray, z: np.ndarray, plane: np.ndarray, noise: float) -> SurfaceNormal:
    """The plane as a normal, if its direction is certain enough."""
    length = float(np.linalg.norm(plane))
    error = _direction_error(rays, z, plane, noise)
    if not error <= MOST_ERROR_RAD:
        return SurfaceNormal(
            None,
            valid=len(z),
            reason=f"too little of the surface is seen at the point to tell which way it faces "
            f"(to {min(np.degrees(error), 90.0):.0f} degrees, from {len(z)} pixels)",
        )
    x, y, out = (-plane / length).tolist()
    distance = (z * (rays @ plane) - 1) / length
    return SurfaceNormal((x, y, out), float(np.sqrt(np.mean(distance**2))), error, len(z))


def _direction_error(rays: np.ndarray, z: np.ndarray, plane: np.ndarray, noise: float) -> float:
    """Standard error of the normal [rad]: the fit's covariance, across the normal's own direction."""
    if len(z) < LEAST_PIXELS or np.linalg.matrix_rank(rays) < 3:
        return np.inf
    inverse_noise = noise / float(np.median(z)) ** 2
    covariance = inverse_noise**2 * np.linalg.inv(rays.T @ rays)
    length = float(np.linalg.norm(plane))
    across = np.eye(3) - np.outer(plane, plane) / length**2
    return float(np.sqrt(np.linalg.eigvalsh(across @ covariance @ across)[-1])) / length
