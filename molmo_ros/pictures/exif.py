# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The orientation in EXIF data, and pixels turned by it (CIPA DC-008, tag 274)."""

from __future__ import annotations

import numpy as np

from molmo_ros.pictures.tiff_directory import TiffDirectory, TiffError

ORIENTATION = 274


def orientation_of(exif: bytes) -> int:
    """1 to 8; 1, which is upright, where the data hold none that can be read.

    Args:
        exif: From the byte order mark on ("II" or "MM").
    """
    try:
        value = TiffDirectory.first(exif).numbers(ORIENTATION, 1)[0]
    except TiffError:
        return 1
    return value if 1 <= value <= 8 else 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The stored pixels [h, w, ...] as they are to be looked at; a view."""
    # 1 to 4 are turned by 0 or 180 degrees or mirrored; 5 to 8 are those with rows and columns exchanged.
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    flips = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}.get(orientation, ())
    return np.flip(pixels, flips) if flips else pixels
