# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which frames of an episode are asked about."""

from __future__ import annotations

from collections.abc import Sequence

EARLY = 0.05
"""A frame may come so much of the period before its time: cameras are not quite in time."""


def key_frames(times: Sequence[float], rate: float) -> list[int]:
    """The places of the frames that are due, as `molmo-ros bag` chooses them: the first, then at most `rate` a second.

    Args:
        times: Of all frames, rising [s].
        rate: [Hz]; 0 means every frame.
    """
    if not rate:
        return list(range(len(times)))
    period, due, chosen = 1.0 / rate, None, []
    slack = EARLY * period
    for place, time in enumerate(times):
        due = time if due is None else due
        if time < due - slack:
            continue
        chosen.append(place)
        due += period * ((time + slack - due) // period + 1)
    return chosen
