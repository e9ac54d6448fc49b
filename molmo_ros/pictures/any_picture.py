# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A picture file of any kind, to samples as they are stored and to RGB as people look at it."""

from __future__ import annotations

import cv2
import numpy as np

from molmo_ros.pictures.bit_depth import is_black, stretched
from molmo_ros.pictures.coded_picture import PictureError
from molmo_ros.pictures.decode import Bounds, decode, is_known, look_through
from molmo_ros.pictures.exif import upright

FILE_BOUNDS = Bounds(1 << 30, 16 << 30)
"""What a file that somebody has chosen may take: OpenCV's own limit of pixels, and 16 GiB."""


def stored_samples(data: bytes) -> tuple[np.ndarray, int]:
    """The samples as stored, [h, w] gray or [h, w, 3] BGR of any depth, and their orientation.

    Raises:
        PictureError: It is no picture that can be read.
    """
    if not data:
        raise PictureError("it is empty")
    if is_known(data):
        picture = look_through(data)
        return decode(picture, FILE_BOUNDS), picture.orientation
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise PictureError(f"{str(error):.300}") from error
    if pixels is None:
        raise PictureError(
            f"it is no picture (PNG, JPEG, WebP, TIFF, BMP, ...), it starts with {data[:8].hex(' ')}"
        )
    return pixels, 1


def rgb_pixels(samples: np.ndarray, orientation: int = 1) -> tuple[np.ndarray, list[str]]:
    """Stored samples as people look at them.

    Samples of more than 8 bits are stretched by the range of their values where they leave most of it empty, as those
    of cameras with 10 to 14 bits do.

    Args:
        samples: Of `stored_samples`.
        orientation: How they are to be turned.

    Returns:
        uint8 [h, w, 3] RGB, gray repeated into three channels; and what was assumed, one sentence each.
    """
    notes = []
    if samples.dtype != np.uint8:
        samples, note = stretched(samples)
        notes += [f": {note}"] if note else []
    if is_black(samples):
        notes.append(f" is nearly black: its largest value is {int(samples.max())} of 255")
    code = cv2.COLOR_GRAY2RGB if samples.ndim == 2 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(np.ascontiguousarray(upright(samples, orientation)), code), notes
