# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which share of a stream of pictures never arrived, told by the gaps between the stamps of those that did."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque

from molmo_ros.node.fast_dds import installed_fast_dds

KEPT = 61
"""Stamps that are looked at: two seconds at 30 Hz."""
LEAST = 20
"""Fewer say nothing."""
TOLERANCE = 0.2
"""How far a gap may be from a multiple of the period, as a share of the period: where more are, the camera has none."""
TOLD_FROM = 0.1
"""Share that is worth a word: now and then one is lost everywhere."""
CURE = (
    "large best-effort messages are lost between processes: set the parameter "
    "qos_overrides.{topic}.subscription.reliability to reliable, or {variable} to config/fastdds_shm.xml for camera "
    "and node"
)


class StampGaps:
    """Takes the stamps of what arrives; thread-safe.

    A camera's period is the shortest gap that is common, and a gap of n periods means that n - 1 were lost. A stream
    without a steady period, such as a triggered camera's, has lost nothing.

    Attributes:
        topic: Where the pictures come from.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamps: deque[int] = deque(maxlen=KEPT)
        self.topic = "/TOPIC"

    def add(self, stamp: int) -> None:
        """A picture of that stamp [ns] has come; one from before the last, and from another time, begins anew."""
        with self._lock:
            if self._stamps and stamp <= self._stamps[-1]:
                self._stamps.clear()
            self._stamps.append(stamp)

    def clear(self) -> None:
        """Forget all stamps."""
        with self._lock:
            self._stamps.clear()

    @property
    def lost(self) -> float:
        """The share of the last pictures that are missing, 0 to 1."""
        multiples = self._multiples()
        return 1 - len(multiples) / sum(multiples) if multiples else 0.0

    def missing(self, stamp: int, what: str) -> str:
        """That the picture of a stamp [ns] never arrived, with the cure; empty where that is not known.

        One was due at that moment: it is whole periods from its neighbours, and others are lost, too.

        Args:
            what: Such as `depth image`.
        """
        multiples = self._multiples()
        with self._lock:
            stamps = list(self._stamps)
        after = bisect_left(stamps, stamp)
        if not multiples or not after or not (lost := self.lost):
            return ""
        period = (stamps[-1] - stamps[0]) / sum(multiples)
        neighbours = [abs(one - stamp) / period for one in stamps[after - 1 : after + 1]]
        if any(round(one) < 1 or abs(one - round(one)) > TOLERANCE for one in neighbours):
            return ""
        share = f"{lost:.0%} of them are lost"
        return f"the {what} of that moment never arrived (a gap in their stamps; {share}): {self._cure}"

    def _multiples(self) -> list[int]:
        """How many periods are between the stamps that arrived; empty where that is not known."""
        with self._lock:
            stamps = list(self._stamps)
        gaps = [after - before for before, after in zip(stamps, stamps[1:], strict=False)]
        if len(gaps) < LEAST:
            return []
        period = sorted(gaps)[len(gaps) // 10]
        multiples = [max(1, round(gap / period)) for gap in gaps]
        steady = [abs(gap / period - many) <= TOLERANCE for gap, many in zip(gaps, multiples, strict=True)]
        return multiples if sum(steady) >= 0.8 * len(gaps) else []

    @property
    def _cure(self) -> str:
        return CURE.format(topic=self.topic, variable=installed_fast_dds().profile_variable)

    def told(self, what: str) -> str:
        """The loss in a sentence with its cure; empty where it is not worth one.

        Args:
            what: Such as `depth images`.
        """
        lost = self.lost
        return (
            f"{lost:.0%} of the {what} do not arrive (gaps in their stamps): {self._cure}"
            if lost >= TOLD_FROM
            else ""
        )
