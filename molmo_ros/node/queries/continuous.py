"""Continuous queries: which of them are due, about which camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.cameras.frame import Frame
from molmo_ros.node.queries.query import Query, parse_query
from molmo_ros.node.queries.request import Request, Source
from molmo_ros.node.queries.worker import Pace

STALLED_INTERVAL = 1.0
"""How often continuous queries report that a camera has no usable frame [s]."""
IDLE_INTERVAL = 0.1
"""How long nothing being due holds [s]."""


class ContinuousQueries:
    """Asks the parameter `queries` about every camera's new frames, at most `rate` times a second each.

    Args:
        cameras: The cameras by name.
        value: The node's parameters by name.
        refusal: Why a frame is too old; empty where it is not.
    """

    def __init__(
        self, cameras: Mapping[str, CameraInput], value: Callable[[str], Any], refusal: Callable[[Frame], str]
    ) -> None:
        self._cameras, self._value, self._refusal = cameras, value, refusal
        self._paces = {name: Pace() for name in cameras}
        # Of reports that there is no usable frame, which must not put off the first one that comes.
        self._reports = {name: Pace() for name in cameras}
        self._due = dict(self._paces)

    def due(self) -> tuple[list[Request], float]:
        """The queries to ask now, all about one camera, or none; and how long that holds [s]."""
        queries = [parse_query(written) for written in self._value("queries") if written.strip()]
        wait = IDLE_INTERVAL
        # The camera that was asked about longest ago goes first.
        for name in sorted(self._cameras, key=lambda one: self._paces[one].last):
            wanted = [one for one in queries if one.camera in ("", name)]
            left = self._wait(name) if wanted else IDLE_INTERVAL
            if left <= 0:
                return [_request(one, name) for one in wanted], 0.0
            wait = min(wait, left)
        return [], wait

    def asked(self, camera: str) -> None:
        """The queries that were due about a camera are being asked."""
        self._due[camera].mark()

    def hurry(self, camera: str) -> None:
        """Ask about a camera at once: what was known about it does not hold any more, or the asking was cut short."""
        if camera in self._paces:  # one that came with a request has none
            self._paces[camera].reset()

    def _wait(self, name: str) -> float:
        """How long until the camera is due [s]."""
        interval = 1.0 / self._value("rate")
        frame, unseen = self._cameras[name].frames.peek()
        asked, reported = self._paces[name], self._reports[name]
        # Where the asking was cut short, the last frame will do.
        if frame is not None and (unseen or asked.due_at_once):
            self._due[name] = asked
            return asked.wait(interval)
        # Without new frames: silence while the last is still fresh, then a report now and then.
        if frame is not None and not self._refusal(frame):
            return IDLE_INTERVAL
        self._due[name], interval = reported, max(interval, STALLED_INTERVAL)
        return max(asked.wait(interval), reported.wait(interval))


def _request(query: Query, camera: str) -> Request:
    return Request(Query(query.kind, query.texts, query.written, camera), Source.CONTINUOUS)
