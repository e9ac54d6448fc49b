# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The points of several queries, followed from one answer to the next through an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from molmo_ros.tracking import GrayFrame, PointTracker, Track, TrackedPoint


class PointFollower:
    """For one camera of one episode; its frames in order. Tracks are numbered from 1 in each episode."""

    def __init__(self) -> None:
        self._tracker = PointTracker()
        self._numbers: dict[int, int] = {}
        self._query: dict[int, int] = {}  # by the tracker's id

    def step(self, frame: GrayFrame) -> dict[int, list[Track]]:
        """Follows all points into the next frame.

        Returns:
            The tracks of each query that has some, by its number; one lost here says why, once.
        """
        tracks: dict[int, list[Track]] = {}
        for track in self._tracker.step(frame):
            tracks.setdefault(self._query[track.id], []).append(self._numbered(track))
        return tracks

    def begin(self, query: int, frame: GrayFrame, points: Sequence[TrackedPoint]) -> list[int]:
        """Points of a new answer, in place of those of the last answer to the same query.

        Args:
            query: Its number.
            frame: What was stepped to last.
            points: In pixels of the frame.

        Returns:
            The number of each point's track: that of the same object in the answer before.
        """
        fresh = PointTracker()
        started = fresh.start(frame, points)
        old = {one for one, its in self._query.items() if its == query}
        kept = self._tracker.adopt(fresh, instead_of=old)
        for one in old - {track.id for track in self._tracker.tracks}:
            del self._query[one]
        numbers = []
        for track in started:
            track = replace(track, id=kept.get(track.id, track.id))
            self._query[track.id] = query
            numbers.append(self._numbered(track).id)
        return numbers

    def _numbered(self, track: Track) -> Track:
        return replace(track, id=self._numbers.setdefault(track.id, len(self._numbers) + 1))
