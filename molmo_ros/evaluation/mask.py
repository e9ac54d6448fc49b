# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A mask as a benchmark stores it, brought to the size of its picture."""

from __future__ import annotations

import cv2
import numpy as np

from molmo_ros.evaluation.evaluation_error import UnusableError
from molmo_ros.evaluation.question import StoredPicture
from molmo_ros.pictures.exif import upright

HALF, ANY = 127, 0
"""Samples above are inside: more than half white, or anything but black."""


def read_mask(stored: StoredPicture, above: int, size: tuple[int, int]) -> tuple[np.ndarray, str]:
    """The mask for a picture of a height and a width.

    Args:
        stored: The mask's file; of several channels one that is bright enough is enough.
        above: Samples greater than this are inside.
        size: The picture's height and width [px].

    Returns:
        bool [h, w], and what was assumed in words, empty for nothing.

    Raises:
        UnusableError: It cannot be read, or nothing in it is inside.
    """
    samples, orientation = stored.samples()
    samples = upright(samples, orientation)
    bright = samples > above
    mask = np.asarray(bright if bright.ndim == 2 else bright.any(axis=2))
    if not mask.any():
        raise UnusableError(f"{stored.name} is empty: no point would be right")
    return resized(mask, size, stored.name)


def resized(mask: np.ndarray, size: tuple[int, int], name: str) -> tuple[np.ndarray, str]:
    """bool [h, w] to the picture's size, by the nearest sample; and what was done in words, empty for nothing."""
    if mask.shape == size:
        return mask, ""
    scaled = cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT).astype(bool)
    (height, width), (wanted_height, wanted_width) = mask.shape, size
    note = f"{name} has {width}x{height} pixels and its picture {wanted_width}x{wanted_height}: scaled to the nearest"
    if abs(width * wanted_height / (height * wanted_width) - 1) > 0.02:
        note += "; its sides have another ratio, so it may be another picture's"
    return scaled, note
