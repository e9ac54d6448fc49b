# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How many tokens the passes have that are recorded, and how much of the cache they read."""

from __future__ import annotations

import math
from collections.abc import Sequence

VERIFY_WIDTHS = (4, 8, 16, 32, 64)
"""Tokens of the passes that are recorded beside those of one token: the longest guess of one answer, and of several."""
VERIFY_STEP = 1024
"""As `WIDTH_STEP`, for passes over a few tokens: slots that nobody sees cost little beside the weights, and a recording
of each width is made for each step."""


def verify_width(count: int, start: int, slots: int, widths: Sequence[int] = VERIFY_WIDTHS) -> int | None:
    """How many tokens a recorded pass over `count` of them has; None where none is made for it.

    Args:
        count: Tokens.
        start: The slot of the first one.
        slots: Of the cache.
        widths: That there are, in order.
    """
    width = next((one for one in widths if one >= count), None)
    # A prompt's beginning is not a pass that comes again.
    return width if width is not None and count > 1 and 0 < start <= slots - width else None


def verify_slots(end: int, slots: int) -> int:
    """How many slots a recorded pass reads whose tokens end at slot `end`, of a cache of `slots`."""
    return min(math.ceil(end / VERIFY_STEP) * VERIFY_STEP, slots)


def verify_kinds(slots: int, widths: Sequence[int] = VERIFY_WIDTHS) -> list[tuple[int, int]]:
    """A pass for every recording that answers need: how many tokens it has, and where it starts."""
    starts = [1, *range(VERIFY_STEP, slots, VERIFY_STEP)]
    return [(width, start) for start in starts for width in widths if start + width <= slots]
