# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A depth image with its rays: what all steps of finding regions read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from molmo_ros.geometry import PinholeCamera, metres

CAMERAS_KEPT = 4


@dataclass(frozen=True)
class DepthView:
    """One depth image.

    Attributes:
        depth: float32 [h, w] along the optical axis [m]; NaN without depth.
        rays: float32 [h, w, 2], x and y of each pixel's ray at z = 1; NaN where the lens model has none.
    """

    depth: np.ndarray
    rays: np.ndarray

    @classmethod
    def read(cls, depth: np.ndarray, camera: PinholeCamera, minimum: float, maximum: float) -> DepthView:
        """The view of a depth image [h, w] (uint16 [mm] or floating [m]); depths out of range count as none."""
        values = metres(depth)
        with np.errstate(invalid="ignore"):
            values[~((values >= minimum) & (values <= maximum))] = np.nan
        return cls(values, camera_rays(camera))

    def surface(self) -> np.ndarray:
        """float32 [h, w, 3]: each pixel's place in the optical frame [m]."""
        x, y = self.rays[..., 0] * self.depth, self.rays[..., 1] * self.depth
        # Without a ray, which a lens model may not have, neither x nor y is known, and z goes with them.
        return cv2.merge([x, y, np.where(np.isnan(x), x, self.depth)])


@lru_cache(maxsize=CAMERAS_KEPT)
def camera_rays(camera: PinholeCamera) -> np.ndarray:
    """float32 [h, w, 2]: x and y at z = 1 of every pixel's ray."""
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    rays = camera.deproject(pixels, np.ones(len(pixels)))[:, :2]
    rays = rays.reshape(camera.height, camera.width, 2).astype(np.float32)
    rays.setflags(write=False)
    return rays
