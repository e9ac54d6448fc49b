"""Which frame of a video a model means by a moment."""

from __future__ import annotations

from collections.abc import Sequence

BEYOND = 0.5
"""How far outside of a video a moment may lie [s]: the interval at which the models see most videos."""


def frame_at(seconds: float, times: Sequence[float]) -> int | None:
    """The frame that a model means by a moment [s], from 0.

    Models are told times rounded to a tenth, and repeat them: the first frame with that tenth, else the nearest
    (the earlier one where two are). None for a moment more than `BEYOND` before the first or after the last.
    """
    tenth = f"{seconds:.1f}"
    for frame, time in enumerate(times):
        if f"{time:.1f}" == tenth:
            return frame
    if not times[0] - BEYOND <= seconds <= times[-1] + BEYOND:
        return None
    return min(range(len(times)), key=lambda frame: abs(times[frame] - seconds))
