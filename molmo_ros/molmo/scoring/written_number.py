# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Numbers that write a point, and which others are near enough to be the same place."""

from __future__ import annotations

import re

import numpy as np

TOLERANCE = 0.02
"""How far a number may be from the one that was written to count as the same place, share of the image's side."""
NUMBER = re.compile(r"(?<![A-Za-z0-9.])[0-9]+(?:\.[0-9]+)?")
LONGEST_POINT = 96
"""Characters from the start of a point's x to the end of its y, at most."""
_POWERS = 10.0 ** np.arange(LONGEST_POINT + 1)


def near_share(
    number: str, prefix: str, values: np.ndarray, lengths: np.ndarray, tolerance: float
) -> np.ndarray:
    """For each way to go on after `prefix`, which share of the numbers it can lead to is near `number`.

    Args:
        number: What was written: "234" per mille, "63.5" or "7" percent.
        prefix: Its first characters.
        values, lengths: [n], the digits that could follow, as a number and their count. Whatever comes after
            them has as many digits as `number` still has, each as likely as any other.
        tolerance: Share of the image's side.

    Returns:
        float64 [n]; 0 where there would be more digits than in `number`.
    """
    digits, written = number.replace(".", ""), prefix.replace(".", "")
    decimals = len(number.partition(".")[2])
    full = 100 * 10**decimals if decimals or len(digits) < 3 else 1000
    center, reach = int(digits), tolerance * full
    rest = len(digits) - len(written) - lengths
    span = _POWERS[np.maximum(rest, 0)]
    low = (int(written or "0") * _POWERS[lengths] + values) * span
    count = np.minimum(low + span - 1, center + reach) - np.maximum(low, center - reach) + 1
    return np.minimum(np.maximum(count, 0.0) / span, 1.0) * (rest >= 0)
