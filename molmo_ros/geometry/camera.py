# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The pinhole camera of a sensor_msgs/CameraInfo: pixel and depth to a point in metres, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from molmo_ros.geometry.distortion import ALIASES, MODELS, undistort
from molmo_ros.geometry.principal_point import contradiction


class CameraInfoError(ValueError):
    """A camera calibration that cannot be used; the message says which value and what would be right."""


@dataclass(frozen=True)
class PinholeCamera:
    """Intrinsics of the image as it was delivered, after region of interest and binning.

    Pixel coordinates follow OpenCV's calibration convention: whole numbers are pixel *centres*, so the
    image spans -0.5 to width - 0.5.

    Attributes:
        fx, fy: Focal lengths [px].
        cx, cy: Principal point [px].
        width, height: Size of the delivered image [px].
        model: One of `distortion.MODELS`; ignored where `distortion` is empty and the model is not
            `equidistant` (whose projection is no pinhole even with zero coefficients).
        distortion: Coefficients in the order of the model.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    model: str = "plumb_bob"
    distortion: tuple[float, ...] = ()

    @classmethod
    def from_camera_info(
        cls,
        *,
        k: Sequence[float],
        width: int,
        height: int,
        d: Sequence[float] = (),
        model: str = "plumb_bob",
        roi: tuple[int, int, int, int] = (0, 0, 0, 0),
        binning: tuple[int, int] = (1, 1),
        trusted: bool = False,
    ) -> PinholeCamera:
        """Build the camera of a delivered image from the fields of a CameraInfo (REP-104).

        Args:
            k: The 9 entries of K, row-major, for the full-resolution image [px].
            width, height: Full-resolution image size [px], before ROI and binning.
            d: Distortion coefficients.
            model: `distortion_model`; "" counts as plumb_bob, "fisheye" as equidistant.
            roi: x_offset, y_offset, width, height of the region of interest in full-resolution pixels;
                a width and height of 0 mean the full image.
            binning: Columns and rows that were merged into one; 0 means 1. A merged pixel's centre is the
                centre of its block, as the sensor summed it; image_geometry leaves that out, and differs
                by (binning - 1) / (2 binning), less than half a delivered pixel.
            trusted: The user vouches for K: it is refused only where it is grossly off; see `contradiction`.

        Raises:
            CameraInfoError: K is zero, not finite, not a pinhole matrix or contradicts the image size;
                the region of interest leaves the image; the distortion model is unknown.
        """
        values = np.asarray(k, dtype=np.float64)
        if values.shape != (9,):
            raise CameraInfoError(f"K must have 9 values, got {values.size}")
        if not np.isfinite(values).all():
            raise CameraInfoError(f"K has values that are not finite: {values.tolist()}")
        fx, fy, cx, cy = (float(values[i]) for i in (0, 4, 2, 5))
        if fx <= 0 or fy <= 0:
            raise CameraInfoError(
                f"focal lengths must be positive, got fx={fx:g}, fy={fy:g}: the camera is not calibrated"
            )
        if width < 1 or height < 1:
            raise CameraInfoError(f"the image size must be positive, got {width}x{height}")
        if reason := contradiction(fx, fy, cx, cy, width, height, trusted=trusted):
            raise CameraInfoError(reason)
        x0, y0, roi_width, roi_height = roi
        roi_width, roi_height = roi_width or width - x0, roi_height or height - y0
        if x0 + roi_width > width or y0 + roi_height > height or roi_width < 1 or roi_height < 1:
            raise CameraInfoError(f"region of interest {roi} leaves the image of {width}x{height}")
        bin_x, bin_y = binning[0] or 1, binning[1] or 1
        name, coefficients = _distortion(model, d)
        return cls(
            fx=fx / bin_x,
            fy=fy / bin_y,
            # Pixel edges scale, and centres lie half a pixel from them.
            cx=(cx - x0 + 0.5) / bin_x - 0.5,
            cy=(cy - y0 + 0.5) / bin_y - 0.5,
            width=roi_width // bin_x,
            height=roi_height // bin_y,
            model=name,
            distortion=coefficients,
        )

    def require_size(self, width: int, height: int) -> None:
        """Check that an image is the one this calibration describes.

        Raises:
            CameraInfoError: The sizes differ.
        """
        if (width, height) != (self.width, self.height):
            raise CameraInfoError(
                f"camera_info describes an image of {self.width}x{self.height}, the image is {width}x{height}"
            )

    def deproject(self, pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Lift pixels to points in the optical frame (REP-103: x right, y down, z forward).

        Args:
            pixels: [n, 2] column and row [px], whole numbers at pixel centres.
            depth: [n] distance along the optical axis [m] (REP-118), not along the ray.

        Returns:
            float64 [n, 3] [m]; NaN where the depth is NaN or the lens model has no inverse.
        """
        pixels = np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
        rays = (pixels - (self.cx, self.cy)) / (self.fx, self.fy)
        if self.distorts:
            rays = undistort(rays, self._distort)
        z = np.asarray(depth, dtype=np.float64).reshape(-1, 1)
        return np.hstack([rays * z, np.where(np.isnan(rays).any(axis=1, keepdims=True), np.nan, z)])

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project points of the optical frame to pixels; the inverse of `deproject`.

        Args:
            points: [n, 3] [m].

        Returns:
            float64 [n, 2] column and row [px]; NaN for points that are not in front of the camera.
        """
        points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        z = np.where(points[:, 2:] > 0, points[:, 2:], np.nan)
        rays = points[:, :2] / z
        if self.distorts:
            rays = self._distort(rays)
        return rays * (self.fx, self.fy) + (self.cx, self.cy)

    @property
    def distorts(self) -> bool:
        """Whether a lens comes between rays and pixels."""
        return bool(self.distortion) or self.model == "equidistant"

    def _distort(self, rays: np.ndarray) -> np.ndarray:
        return MODELS[self.model][0](rays, np.asarray(self.distortion))


def _distortion(model: str, d: Sequence[float]) -> tuple[str, tuple[float, ...]]:
    """The model's name and coefficients; none at all where a Brown-Conrady lens has only zeros."""
    coefficients = tuple(float(value) for value in d)
    name = ALIASES.get(model, model)
    if not np.isfinite(coefficients).all():
        raise CameraInfoError(f"D has values that are not finite: {list(coefficients)}")
    if not any(coefficients) and name != "equidistant":
        return "plumb_bob", ()  # drivers of rectified cameras write all sorts of names here
    if name not in MODELS:
        raise CameraInfoError(f"unknown distortion model {model!r}; known: {', '.join(MODELS)}")
    lengths = MODELS[name][1]
    # Some drivers write zeros behind the last coefficient of their model.
    used = max((n for n, value in enumerate(coefficients, 1) if value), default=0)
    if len(coefficients) not in lengths and len(coefficients) > min(lengths):
        fitting = max(n for n in lengths if n <= len(coefficients))
        coefficients = coefficients[:fitting] if used <= fitting else coefficients
    if len(coefficients) not in lengths and not (name == "equidistant" and not coefficients):
        wanted = " or ".join(str(n) for n in lengths)
        raise CameraInfoError(f"{name} takes {wanted} coefficients, D has {len(coefficients)}")
    return name, coefficients
