# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The thread in which a camera's points are followed, so that neither frames nor answers wait for it."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Sequence

import numpy as np

from molmo_ros.molmo.pointing.moved_points import Move
from molmo_ros.node.answers.camera_tracker import CameraTracker
from molmo_ros.node.cameras.images import ImageMessageError
from molmo_ros.node.cameras.mailbox import Mailbox
from molmo_ros.node.records.frame import Frame
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.seams.node_log import NodeLog


class TrackingThread:
    """Hands the newest frame and new answers of one camera to its tracker. Thread-safe.

    Args:
        tracker: Follows the points.
        log: The node's logger.
    """

    def __init__(self, tracker: CameraTracker, log: NodeLog) -> None:
        self._tracker, self._log = tracker, log
        self._changed = threading.Condition()
        self._frames: Mailbox[Frame] = Mailbox()
        self._answers: list[tuple[Outcome, np.ndarray]] = []
        self._forget = self._stopping = False
        self._thread = threading.Thread(target=self._work, name="molmo_tracking", daemon=True)
        self._thread.start()

    def on_frame(self, frame: Frame) -> None:
        """A frame has come; one that was not looked at yet is dropped."""
        with self._changed:
            self._frames.put(frame)
            self._changed.notify()

    def on_answer(self, outcome: Outcome, picture: np.ndarray) -> None:
        """A continuous query has its answer, about this picture (uint8 [h, w, 3] RGB)."""
        with self._changed:
            self._answers.append((outcome, picture))

    def moves(self, written: str) -> Sequence[Move]:
        """Where the points of that query's last answer are in the newest frame, as far as they are followed."""
        return self._tracker.moves.get(written, ())

    def clear(self) -> None:
        """Forget all frames and points: the clock jumped."""
        with self._changed:
            self._forget = True
            self._frames.clear()
            self._answers.clear()

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(1.0)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._frames.peek()[1] or self._stopping)
                if self._stopping:
                    return
                forget, self._forget = self._forget, False
                frame = self._frames.newest()
                answers, self._answers = self._answers, []
            try:
                if forget:
                    self._tracker.clear()
                if frame is not None:
                    self._tracker.follow(frame, answers)
            except ImageMessageError as error:  # the query about such a frame says so
                self._log.debug(f"not tracked: {error}")
            except Exception:
                self._log.error(traceback.format_exc(), throttle_duration_sec=5.0)
