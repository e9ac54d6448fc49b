# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whether a camera matrix can be that of an image of some size, by where its principal point lies.

A calibration of another resolution scales every point without a word. Lenses sit within a few per cent of their
sensor's centre, so the principal point tells which resolution a matrix was made for.
"""

from __future__ import annotations

import math

LENS_OFFSET = 0.095
"""A principal point is no further from the image's centre than this share of its width and height. Published
calibrations stay below 0.065."""
GROSS_OFFSET = 0.24
"""The same where the user vouches for the matrix."""
SCALED_OFFSET, SCALED_AGREEMENT = 0.042, 0.03
"""A matrix of another resolution is off the centre by about the same share of both sides; a lens that far off along
both, and equally, is not seen."""
OTHER_ASPECT_OFFSET, SAME_ASPECT = 0.04, 0.025
"""One of another resolution and aspect ratio is off the centre, and twice its principal point has that ratio."""
ASPECTS = (4 / 3, 16 / 9, 16 / 10)
"""Width by height of what depth cameras deliver."""
SDF_DEFAULT = (277.0, 160.0, 120.0)
"""fx = fy, cx and cy of SDF's <lens><intrinsics> where nobody set them: those of 320x240 and a view of 60 degrees.
Some simulators publish them, or 277.1 to 277.2, whatever the image's size is."""
SDF_SIZE = (320, 240)


def contradiction(
    fx: float, fy: float, cx: float, cy: float, width: int, height: int, *, trusted: bool = False
) -> str:
    """Why a matrix is not that of an image of this size; empty where nothing says so.

    Args:
        fx, fy: Focal lengths [px].
        cx, cy: Principal point, whole numbers at pixel centres [px].
        width, height: Of the image at full resolution [px].
        trusted: The user vouches for the matrix: only `GROSS_OFFSET` is looked at.
    """
    off_x, off_y = (cx + 0.5) / width - 0.5, (cy + 0.5) / height - 0.5
    if not trusted and is_sdf_default(fx, fy, cx, cy) and (width, height) != SDF_SIZE:
        return (
            f"K contradicts the image size {width}x{height}: fx={fx:g}, cx={cx:g}, cy={cy:g} are SDF's default, that "
            "of about 320x240, which simulators publish at every size where <camera><lens><intrinsics> is not set; "
            f"set it, or camera_matrix, to fx = fy = {width / 2:g} / tan(horizontal_fov / 2), "
            f"cx = {width / 2 - 0.5:g}, cy = {height / 2 - 0.5:g}"
        )
    if max(abs(off_x), abs(off_y)) >= (GROSS_OFFSET if trusted else LENS_OFFSET):
        why = f"its principal point is cx={cx:g}, cy={cy:g}, the centre is at {width / 2:g}, {height / 2:g}"
    elif trusted:
        return ""
    elif _is_scaled(off_x, off_y) or _is_of_another_aspect(off_x, off_y, width / height):
        why = f"its principal point is cx={cx:g}, cy={cy:g}, the centre is at {width / 2:g}, {height / 2:g}"
    else:
        return ""
    return (
        f"K contradicts the image size {width}x{height}: {why}; it looks like the K of an image of about "
        f"{2 * cx:.0f}x{2 * cy:.0f}"
    )


def is_sdf_default(fx: float, fy: float, cx: float, cy: float) -> bool:
    """Whether a matrix is SDF's default; arguments as in `contradiction`."""
    f, x, y = SDF_DEFAULT
    return all(abs(one - f) < 0.5 for one in (fx, fy)) and abs(cx - x) <= 0.5 and abs(cy - y) <= 0.5


def _is_scaled(off_x: float, off_y: float) -> bool:
    return abs(off_x + off_y) / 2 >= SCALED_OFFSET and abs(off_x - off_y) <= SCALED_AGREEMENT


def _is_of_another_aspect(off_x: float, off_y: float, own: float) -> bool:
    implied = own * (1 + 2 * off_x) / (1 + 2 * off_y)
    return max(abs(off_x), abs(off_y)) >= OTHER_ASPECT_OFFSET and any(
        math.isclose(implied, one, rel_tol=SAME_ASPECT)
        and not math.isclose(own, one, rel_tol=2 * SAME_ASPECT)
        for one in ASPECTS
    )
