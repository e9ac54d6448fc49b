"""Which share of a stream of pictures never arrived, told by the gaps between the stamps of those that did."""

from __future__ import annotations

import threading
from collections import deque

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
    "qos_overrides./TOPIC.subscription.reliability to reliable, or FASTRTPS_DEFAULT_PROFILES_FILE to "
    "config/fastdds_shm.xml for camera and node"
)


class StampGaps:
    """Takes the stamps of what arrives; thread-safe.

    A camera's period is the shortest gap that is common, and a gap of n periods means that n - 1 were lost. A stream
    without a steady period, such as a triggered camera's, has lost nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamps: deque[int] = deque(maxlen=KEPT)

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
        with self._lock:
            stamps = list(self._stamps)
        gaps = sorted(after - before for before, after in zip(stamps, stamps[1:], strict=False))
        if len(gaps) < LEAST:
            return 0.0
        period = gaps[len(gaps) // 10]
        multiples = [gap / period for gap in gaps]
        steady = sum(abs(one - max(1, round(one))) <= TOLERANCE for one in multiples)
        if steady < 0.8 * len(gaps):
            return 0.0
        sent = sum(max(1, round(one)) for one in multiples)
        return 1 - len(gaps) / sent

    def told(self, what: str) -> str:
        """The loss in a sentence with its cure; empty where it is not worth one.

        Args:
            what: Such as `depth images`.
        """
        lost = self.lost
        return (
            f"{lost:.0%} of the {what} do not arrive (gaps in their stamps): {CURE}"
            if lost >= TOLD_FROM
            else ""
        )
