# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An answer about an old frame, brought to the present."""

from __future__ import annotations

from collections.abc import Sequence

from molmo_ros.tracking.gray_frame import GrayFrame
from molmo_ros.tracking.point_tracker import PointTracker
from molmo_ros.tracking.track import Track, TrackedPoint


def catch_up(
    frames: Sequence[GrayFrame], points: Sequence[TrackedPoint], stride: int = 1
) -> tuple[PointTracker, list[Track]]:
    """Starts points on the frame they were found in and follows them to the newest.

    Args:
        frames: The answer's own, and those after it (`FrameHistory.after`).
        points: Of the answer, in pixels of the original image.
        stride: 2 takes every other frame: half the time. The newest is always taken.

    Returns:
        A tracker that stands at the newest frame, and a track per point, in order; one lost on the way says why.

    Raises:
        ValueError: There are no frames, or `stride` is not positive.
    """
    if not frames:
        raise ValueError("there are no frames to follow the points through")
    if stride < 1:
        raise ValueError(f"stride is {stride}, must be 1 or more")
    tracker = PointTracker()
    tracks = {track.id: track for track in tracker.start(frames[0], points)}
    # Counted back from the newest, so that it is taken whatever the number of frames is.
    for frame in frames[1:][::-1][::stride][::-1]:
        tracks.update((track.id, track) for track in tracker.step(frame))
    return tracker, list(tracks.values())
