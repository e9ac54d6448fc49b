# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What follows the points of all cameras, while the node is active."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from molmo_ros.molmo.pointing.moved_points import Move
from molmo_ros.node.answers.tracking_thread import TrackingThread
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.records.frame import Frame
from molmo_ros.node.records.outcome import Outcome


class Trackers:
    """A tracker for each camera between `start` and `stop`; none before and after. Thread-safe.

    Args:
        settings: Returns the parameters, of which `tracking` may change at any time.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._threads: Mapping[str, TrackingThread] = {}

    def start(self, threads: Mapping[str, TrackingThread]) -> None:
        """Follow points from now on, of the cameras by name."""
        self._threads = dict(threads)

    def stop(self) -> None:
        """Follow nothing more."""
        threads, self._threads = self._threads, {}
        for one in threads.values():
            one.stop()

    def on_frame(self, camera: str, frame: Frame) -> None:
        """A camera has a new frame."""
        if (thread := self._following(camera)) is not None:
            thread.on_frame(frame)

    def on_answer(self, outcome: Outcome, picture: np.ndarray) -> bool:
        """A continuous query has its answer, about this picture (uint8 [h, w, 3] RGB).

        Returns:
            False where its points are not followed.
        """
        if (thread := self._following(outcome.camera)) is None:
            return False
        thread.on_answer(outcome, picture)
        return True

    def moves(self, camera: str, written: str) -> Sequence[Move]:
        """Where the points of a continuous query's last answer are now: (x, y) then and now [px]; none where nothing
        follows them."""
        thread = self._following(camera)
        return () if thread is None else thread.moves(written)

    def clear(self) -> None:
        """Forget all frames and points: the clock jumped."""
        for one in self._threads.values():
            one.clear()

    def _following(self, camera: str) -> TrackingThread | None:
        return self._threads.get(camera) if self._settings().tracking else None
