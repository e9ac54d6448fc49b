# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a pass over some tokens costs beside a pass over one, learnt from the passes that were made."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Tokens of a pass between which its time is interpolated."""
KEPT = 9
"""Passes of a size whose fastest counts: what else the machine did meanwhile is no cost of the pass."""
ENOUGH = 3
"""Passes of a size before it is believed."""
STALE = 1000
"""Passes after which a size that was not met any more is tried again."""
WORTH_KEEPING = SIZES[:5]
"""Once passes of these sizes were timed, the times are worth keeping for the next start."""
PRIOR_SLOPE = 0.05
"""Until something is known: what a further token takes, as a share of a pass over one."""


class PassTimes:
    """See `PassTimer`."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._seconds: dict[int, deque[float]] = {size: deque(maxlen=KEPT) for size in SIZES}
        self._met = dict.fromkeys(SIZES, 0)
        self._passes = 0
        self._curve: list[tuple[int, float]] | None = None
        self._keep: Callable[[Mapping[int, float]], None] | None = None

    def begin_with(
        self, seconds: Mapping[int, float], keep: Callable[[Mapping[int, float]], None] | None = None
    ) -> None:
        """Begins with what an earlier process has measured, until this one knows better.

        Args:
            seconds: Of passes, by their tokens; other sizes than `SIZES` are left out.
            keep: Called once, where little was known, with what has become known of each size [s].
        """
        for size in SIZES:
            if size in seconds:
                self._seconds[size].extend([seconds[size]] * ENOUGH)
        self._keep = None if self._known().keys() >= set(WORTH_KEEPING) else keep
        self._curve = None

    def took(self, tokens: int, seconds: float) -> None:
        """See `PassTimer`."""
        size = min(SIZES, key=lambda one: abs(one - tokens))
        self._passes += 1
        self._met[size] = self._passes
        # As if it had been over just so many tokens.
        self._seconds[size].append(
            seconds * (1 + PRIOR_SLOPE * (size - 1)) / (1 + PRIOR_SLOPE * (tokens - 1))
        )
        for other in SIZES[1:]:
            if self._passes - self._met[other] > STALE:
                self._seconds[other].clear()
        self._curve = None
        if self._keep is not None and (known := self._known()).keys() >= set(WORTH_KEEPING):
            self._keep(known)
            self._keep = None

    def _known(self) -> dict[int, float]:
        """The fastest of the passes of each size that is known [s]."""
        return {size: min(seconds) for size, seconds in self._seconds.items() if len(seconds) >= ENOUGH}

    def cost(self, tokens: float) -> float:
        """Of a pass over so many tokens, where one over a single token costs 1."""
        if tokens <= 1:
            return 1.0
        curve = self._points()
        for (low, before), (high, after) in zip(curve, curve[1:], strict=False):
            if tokens <= high:
                return before + (after - before) * (tokens - low) / (high - low)
        last, cost = curve[-1]
        return cost * tokens / last

    def _points(self) -> list[tuple[int, float]]:
        """Sizes and costs, never falling: a longer pass that was faster by chance is none."""
        if self._curve is None:
            known = self._known()
            self._curve = [(1, 1.0)]
            for size in SIZES[1:]:
                before, cost = self._curve[-1]
                if 1 in known and size in known:
                    self._curve.append((size, max(cost, known[size] / known[1])))
                else:
                    self._curve.append((size, cost + PRIOR_SLOPE * (size - before)))
        return self._curve
