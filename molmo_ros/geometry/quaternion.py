# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Unit quaternions in the order of geometry_msgs: (x, y, z, w)."""

from __future__ import annotations

import math

import numpy as np

Quaternion = tuple[float, float, float, float]

# Closer than this [rad], the sines of slerp lose their digits and a straight line is as good.
PARALLEL_RAD = 1e-6


def product(first: Quaternion, second: Quaternion) -> Quaternion:
    """Hamilton's product: the rotation `second`, followed by the rotation `first`."""
    x1, y1, z1, w1 = first
    x2, y2, z2, w2 = second
    return (
        w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
        w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
        w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
    )


def conjugate(rotation: Quaternion) -> Quaternion:
    """The opposite rotation."""
    x, y, z, w = rotation
    return (-x, -y, -z, w)


def to_matrix(rotation: Quaternion) -> np.ndarray:
    """Rotation matrix, float64 [3, 3], of a unit quaternion; its columns are the rotated axes."""
    x, y, z, w = rotation
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def from_matrix(matrix: np.ndarray) -> Quaternion:
    """The unit quaternion, with w >= 0, of a rotation matrix [3, 3].

    It is an eigenvector of a symmetric matrix (Bar-Itzhack 2000, "New method for extracting the
    quaternion from a rotation matrix"), without the case distinctions of the closed formula.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = np.asarray(matrix, dtype=np.float64).tolist()
    symmetric = np.array(
        [
            [xx - yy - zz, xy + yx, xz + zx, zy - yz],
            [xy + yx, yy - xx - zz, yz + zy, xz - zx],
            [xz + zx, yz + zy, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    x, y, z, w = np.linalg.eigh(symmetric)[1][:, -1].tolist()
    sign = -1.0 if w < 0 else 1.0
    return (sign * x, sign * y, sign * z, sign * w)


def slerp(start: Quaternion, end: Quaternion, fraction: float) -> Quaternion:
    """The rotation at a fraction of the shorter way from start to end, at constant speed.

    Formula: Shoemake 1985, "Animating rotation with quaternion curves".
    """
    cosine = sum(a * b for a, b in zip(start, end, strict=True))
    if cosine < 0:  # q and -q are the same rotation, and -q is nearer
        cosine, end = -cosine, (-end[0], -end[1], -end[2], -end[3])
    angle = math.acos(min(cosine, 1.0))
    if angle < PARALLEL_RAD:
        near, far = 1 - fraction, fraction
    else:
        near = math.sin((1 - fraction) * angle) / math.sin(angle)
        far = math.sin(fraction * angle) / math.sin(angle)
    x, y, z, w = (near * a + far * b for a, b in zip(start, end, strict=True))
    return (x, y, z, w)
