# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Samples of more than 8 bits to 8: cameras of 10 to 14 bits send them in 16, whose upper bits are then empty."""

from __future__ import annotations

import cv2
import numpy as np

LEAST, MOST = 8, 16
"""How many bits of 16-bit samples may be used."""
# Values from here on are seen as more than black, in 8 bits; a picture with fewer of them is called black.
_DARK, _BRIGHT_PART = 16, 1e-3


def used_bits(samples: np.ndarray) -> int:
    """How many bits the largest of 16-bit samples takes, at least 8."""
    return min(max(int(samples.max(initial=0)).bit_length(), LEAST), MOST)


def to_eight_bits(samples: np.ndarray, bits: int = MOST) -> np.ndarray:
    """uint16 samples of so many bits to uint8, so that the largest becomes 255; rounded, larger ones are 255."""
    return cv2.convertScaleAbs(samples, alpha=255 / ((1 << bits) - 1))


def stretched(samples: np.ndarray) -> tuple[np.ndarray, str]:
    """Samples of more than 8 bits to 8, by the range of their values.

    Numbers of 16 bits keep their zero: the bits that none of them uses are left out. Where they take up less than an
    eighth of what is left, as temperatures do, and for floating numbers outside of 0 to 1, the smallest becomes 0 and
    the largest 255.

    Args:
        samples: uint16 or floating, any shape; NaN and infinite ones become 0.

    Returns:
        uint8 of the same shape, and what was done in words; empty where all 16 bits were used.
    """
    if samples.dtype == np.uint16:
        low, high, bits = int(samples.min()), int(samples.max()), used_bits(samples)
        if high - low >= 1 << (bits - 3) or high == low:
            note = "" if bits == MOST else f"its 16-bit values end at {high}: read as {bits} bits"
            return to_eight_bits(samples, bits), note
        return _between(samples, low, high)
    finite = samples[np.isfinite(samples)]
    if not finite.size:
        return np.zeros(samples.shape, np.uint8), "it holds no finite number"
    smallest, largest = float(finite.min()), float(finite.max())
    inside = smallest >= 0 and largest <= 1
    return _between(samples, 0.0, 1.0) if inside else _between(samples, smallest, largest)


def _between(samples: np.ndarray, low: float, high: float) -> tuple[np.ndarray, str]:
    scaled = samples.astype(np.float32)
    scaled -= low
    scaled *= 255 / ((high - low) or 1)
    scaled[~np.isfinite(scaled)] = 0
    return (
        np.rint(scaled.clip(0, 255, out=scaled)).astype(np.uint8),
        f"its values are stretched: {low:g} is read as black and {high:g} as white",
    )


def is_black(picture: np.ndarray) -> bool:
    """Whether hardly any value of a uint8 picture is above black; looks at each 16th pixel of a large one."""
    step = 4 if min(picture.shape[:2]) >= 128 else 1
    seen = picture[::step, ::step]
    return int(np.count_nonzero(seen >= _DARK)) < _BRIGHT_PART * seen.size
