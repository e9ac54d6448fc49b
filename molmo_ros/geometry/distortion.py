# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Lens distortion: the forward models of sensor_msgs/CameraInfo and one inverse for all of them.

Coordinates here are normalised: x / z and y / z in the camera's optical frame (REP-103: x right,
y down, z forward).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np


def brown_conrady(xy: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Distort normalised points: radial, tangential, rational, thin prism and tilted sensor.

    Formula: OpenCV's calib3d documentation, pinhole camera model. The coefficients are k1 k2 p1 p2
    (k3 (k4 k5 k6 (s1 s2 s3 s4 (tx ty)))).

    Args:
        xy: float64 [n, 2], undistorted normalised points.
        d: float64 [4, 5, 8, 12 or 14].
    """
    if not len(xy):
        return xy
    still = np.zeros(3)
    rays = np.column_stack([xy, np.ones(len(xy))])
    return cv2.projectPoints(rays, still, still, np.eye(3), d)[0].reshape(-1, 2)


def equidistant(xy: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Distort normalised points with the four coefficients of a fisheye lens.

    Formula: Kannala and Brandt 2006, as in OpenCV's fisheye module.

    Args:
        xy: float64 [n, 2], undistorted normalised points.
        d: float64 [4], or empty for zeros.
    """
    if not len(xy):
        return xy
    d = d if len(d) else np.zeros(4)
    return cv2.fisheye.distortPoints(xy[:, None], np.eye(3), d)[:, 0]


# As ROS's calibrator and image_geometry do, any number of coefficients that OpenCV knows is taken under either name.
_OPENCV = (4, 5, 8, 12, 14)

# name in CameraInfo.distortion_model -> (forward model, how many coefficients it may have)
MODELS: dict[str, tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], tuple[int, ...]]] = {
    "plumb_bob": (brown_conrady, _OPENCV),
    "rational_polynomial": (brown_conrady, _OPENCV),
    "equidistant": (equidistant, (4,)),
}

# What some drivers call them: OpenCV's and Kalibr's names for the same formulas.
ALIASES = {"": "plumb_bob", "fisheye": "equidistant", "radtan": "plumb_bob"}


def undistort(xy: np.ndarray, distort: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Invert a forward distortion model by Newton's method.

    OpenCV's fixed-point iteration stops after five rounds by default and is off by pixels at the
    corners of wide lenses; Newton with a numerical Jacobian reaches 1e-10 in a few rounds.

    Args:
        xy: float64 [n, 2], distorted normalised points.
        distort: The forward model, [n, 2] to [n, 2].

    Returns:
        float64 [n, 2]; NaN where no undistorted point maps to the given one (outside the lens model's
        valid region).
    """
    step = 1e-6
    with np.errstate(all="ignore"):
        guess = xy.copy()
        for _ in range(30):
            error = distort(guess) - xy
            if np.all(np.abs(error) < 1e-12):
                break
            jx = (distort(guess + [step, 0.0]) - distort(guess - [step, 0.0])) / (2 * step)
            jy = (distort(guess + [0.0, step]) - distort(guess - [0.0, step])) / (2 * step)
            determinant = jx[:, 0] * jy[:, 1] - jx[:, 1] * jy[:, 0]
            dx = (error[:, 0] * jy[:, 1] - error[:, 1] * jy[:, 0]) / determinant
            dy = (error[:, 1] * jx[:, 0] - error[:, 0] * jx[:, 1]) / determinant
            # A far step would leave the monotonic part of the polynomial and find a mirror solution.
            guess -= np.clip(np.stack([dx, dy], axis=1), -0.5, 0.5)
        lost = ~(np.abs(distort(guess) - xy) < 1e-7).all(axis=1)
    guess[lost] = np.nan
    return guess
