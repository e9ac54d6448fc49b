# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Continuous queries: which of them are due, about which camera."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.records.frame import Frame
from molmo_ros.node.records.query import Query
from molmo_ros.node.records.request import Request, Source

STALLED_INTERVAL = 1.0
"""How often continuous queries report that a camera has no usable frame [s]."""
IDLE_INTERVAL = 0.1
"""How long nothing being due holds [s]."""
NEVER = float("-inf")


@dataclass
class _Camera:
    """What was asked about a camera, by what was written; times are of `time.monotonic` [s].

    Attributes:
        asked: When each query was asked last about a frame.
        reported: When each was told last that there is no usable frame.
        left: Queries that are to be asked at once, without a new frame: their round was cut short, or their points were
            lost.
        hurried: When each was last asked at once for lost points.
        turn: What `due` has handed out, and whether that is a report.
    """

    asked: dict[str, float] = field(default_factory=dict)
    reported: dict[str, float] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    hurried: dict[str, float] = field(default_factory=dict)
    turn: tuple[list[str], bool] = field(default_factory=lambda: ([], False))

    def last(self, query: Query) -> float:
        return self.asked.get(query.written, NEVER)


class ContinuousQueries:
    """Asks the parameter `queries` about every camera's new frames, at most `rate` times a second each.

    A round asks all queries of a camera about one frame, if the model is fast enough for that; those whose turn comes
    when the frame is too old are asked about a newer one, before the next round begins. Whoever was asked longest ago
    is asked first, across queries and cameras. For one thread, except for `hurry`.

    Args:
        cameras: The cameras by name.
        settings: Returns the parameters.
        refusal: Why a frame is too old; empty where it is not.
    """

    def __init__(
        self,
        cameras: Mapping[str, CameraInput],
        settings: Callable[[], Settings],
        refusal: Callable[[Frame], str],
    ) -> None:
        self._cameras, self._settings, self._refusal = cameras, settings, refusal
        self._known = {name: _Camera() for name in cameras}
        self._before: dict[str, float] = {}

    def due(self) -> tuple[list[Request], float]:
        """The queries to ask now, all about one camera, or none; and how long that holds [s]."""
        queries, now = self._settings().continuous, time.monotonic()
        turns: list[tuple[float, str, list[Query], bool]] = []
        wait = IDLE_INTERVAL
        for name in self._cameras:
            wanted = [one for one in queries if one.camera in ("", name)]
            batch, report, left = self._turn(name, wanted, now) if wanted else ([], False, IDLE_INTERVAL)
            if batch and left <= 0:
                turns.append((min(map(self._known[name].last, batch)), name, batch, report))
            elif batch:
                wait = min(wait, left)
        if not turns:
            return [], wait
        _, name, batch, report = min(turns, key=lambda turn: turn[0])
        self._known[name].turn = [one.written for one in batch], report
        return [_request(one, name) for one in batch], 0.0

    def asked(self, camera: str) -> None:
        """The queries that were due about a camera are being asked."""
        known, now = self._known[camera], time.monotonic()
        written, report = known.turn
        if report:  # nothing is asked of the model
            known.reported |= dict.fromkeys(written, now)
            return
        self._before = {one: known.asked.get(one, NEVER) for one in written}
        known.asked |= dict.fromkeys(written, now)
        known.left = [one for one in known.left if one not in written]

    def put_back(self, camera: str, requests: Iterable[Request]) -> None:
        """Of the queries that were being asked about a camera, these got no answer: they are due at once."""
        known = self._known[camera]
        for written in (one.query.written for one in requests):
            if written in known.turn[0] and not known.turn[1]:
                known.asked[written] = self._before[written]
                known.left.append(written)

    def hurry(self, camera: str, written: str | None = None) -> None:
        """Ask about a camera at once: what was known does not hold any more.

        Args:
            camera: The camera; one that came with a request has no name, and no queries.
            written: The query; None for all. One query is hurried once in the time between two rounds.
        """
        if camera not in self._known:
            return
        known, now = self._known[camera], time.monotonic()
        for one in list(known.asked) if written is None else [written]:
            recently = known.hurried.get(one, NEVER) + 1.0 / self._settings().rate > now
            if one not in known.left and not (written and recently):
                known.hurried[one] = now
                known.left.append(one)

    def _turn(self, name: str, wanted: Sequence[Query], now: float) -> tuple[list[Query], bool, float]:
        """What is next about a camera, whether it is a report, and how long until then [s]."""
        known, interval = self._known[name], 1.0 / self._settings().rate
        frame, unseen = self._cameras[name].frames.peek()
        usable = frame is not None and not self._refusal(frame)
        in_turn = sorted(wanted, key=known.last)
        left = [one for one in in_turn if one.written in known.left]
        if usable and left:
            return left, False, 0.0
        if frame is not None and unseen:
            return in_turn, False, max(map(known.last, wanted)) + interval - now
        # Without new frames: silence while the last is still fresh, then a report now and then.
        if usable:
            return [], False, IDLE_INTERVAL
        interval = max(interval, STALLED_INTERVAL)
        last = [max(known.last(one), known.reported.get(one.written, NEVER)) for one in in_turn]
        late = [one for one, told in zip(in_turn, last, strict=True) if told + interval <= now]
        return late or in_turn, True, 0.0 if late else min(last) + interval - now


def _request(query: Query, camera: str) -> Request:
    return Request(replace(query, camera=camera), Source.CONTINUOUS)
