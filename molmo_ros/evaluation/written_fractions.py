# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points that an answer writes as pairs of fractions, because the benchmark's words ask for that.

    [(0.25, 0.5), (0.75, 0.5)]     (0.25, 0.5)     [0.25, 0.5]

Nobody could tell such pairs from percent if they had not been asked for, so answers are read so only then, and only
where the model has not written points in its own way.
"""

from __future__ import annotations

import re

import numpy as np

_ASKS = re.compile(r"\bbetween 0 and 1\b")
_PAIR = re.compile(r"[(\[] {0,8}([0-9]{0,2}\.?[0-9]{1,20}) {0,8}, {0,8}([0-9]{0,2}\.?[0-9]{1,20}) {0,8}[)\]]")


def asks_for_fractions(words: str) -> bool:
    """Whether a benchmark's words ask for coordinates between 0 and 1."""
    return _ASKS.search(" ".join(words.split())) is not None


def read_fractions(text: str, size: tuple[int, int]) -> np.ndarray:
    """float [n, 2], x and y of each pair [px] of a picture of a height and a width.

    None where a number of any pair is above 1: those are no fractions.
    """
    pairs = np.array([(float(x), float(y)) for x, y in _PAIR.findall(text)]).reshape(-1, 2)
    return pairs * size[::-1] if len(pairs) and pairs.max() <= 1 else np.zeros((0, 2))
