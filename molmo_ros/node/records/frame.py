# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A received picture, and whether it is fresh enough to work on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from builtin_interfaces.msg import Duration
    from sensor_msgs.msg import CompressedImage, Image, PointCloud2
    from std_msgs.msg import Header

    PictureMessage: TypeAlias = Image | CompressedImage
    DepthMessage: TypeAlias = Image | CompressedImage | PointCloud2

FUTURE_SKEW = 0.2
"""So much later than now a message may be stamped [s]: clocks of two machines, and a /clock that comes late, differ."""


def stamp_ns(header: Header) -> int:
    """The stamp of a std_msgs/Header [ns]."""
    return int(header.stamp.sec * 1_000_000_000 + header.stamp.nanosec)


def seconds(duration: Duration) -> float:
    """A builtin_interfaces/Duration in seconds."""
    return float(duration.sec + duration.nanosec * 1e-9)


@dataclass(frozen=True)
class Frame:
    """An Image message, undecoded, and when it came.

    Attributes:
        message: The sensor_msgs/Image, or CompressedImage.
        arrived: Monotonic time of its arrival [s].
    """

    message: PictureMessage
    arrived: float = field(default_factory=time.perf_counter)

    @property
    def stamp(self) -> int:
        """When the picture was taken [ns], in the node's clock."""
        return stamp_ns(self.message.header)


def refusal(stamp: int, now: int, max_age: float) -> str:
    """Why a frame must not be worked on; "" where it may.

    A frame from the future is refused too, beyond `FUTURE_SKEW`: either the clocks of two machines disagree, or the
    node's clock went back (a bag that loops) and the frame belongs to the time before.

    Args:
        stamp: The frame's time [ns].
        now: The node's time [ns].
        max_age: Oldest accepted frame [s]; 0 accepts any.
    """
    if max_age <= 0:
        return ""
    age = (now - stamp) * 1e-9
    if -FUTURE_SKEW <= age <= max_age:
        return ""
    if now == 0:
        return (
            "the node's clock is at 0: use_sim_time is set and nothing has come on /clock. Is the simulation paused, "
            "does the bag play with --clock?"
        )
    if stamp == 0:
        return "the image has no stamp (0); max_frame_age 0 accepts it"
    if age < 0:
        return f"the frame is stamped {-age:.2f} s in the future: do the clocks agree, is use_sim_time right?"
    return f"the frame is {age:.2f} s old, max_frame_age is {max_age:g} s"


class PastTime:
    """What a clock's jumps back left behind: messages of the time before, which may come long after.

    Args:
        now: The node's time after the jump [ns].
        by: How far it went back [ns].
        before: What an earlier jump left behind; None where there was none.
        skew: How much later than now, or earlier than the jump, a message of the present may be stamped [s].
    """

    def __init__(self, now: int, by: int, before: PastTime | None = None, skew: float = FUTURE_SKEW) -> None:
        self._start, self._end, self._skew = now, now + by, round(skew * 1e9)
        if before is not None and before._end > now:
            self._end = max(self._end, before._end)

    def lasts(self, now: int) -> bool:
        """Whether the clock [ns] is still before the time that it had."""
        return now < self._end

    def holds(self, stamp: int, now: int) -> bool:
        """Whether a message that comes now is of the time before the jump; never once the clock has caught up.

        Args:
            stamp: Of the message [ns].
            now: The node's time [ns].
        """
        return self.lasts(now) and not self._start - self._skew <= stamp <= now + self._skew
