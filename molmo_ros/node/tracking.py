"""Follows the points of a camera's continuous queries between answers, in a thread of its own.

An answer is about a frame that is old by the time it comes. Its points are followed from that frame to the newest one,
and from then on with every frame, until the next answer about the same query replaces them.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from molmo_ros.molmo.answer import Point, Status
from molmo_ros.node.camera_input import CameraInput
from molmo_ros.node.frame import Frame
from molmo_ros.node.image_transport import picture_of
from molmo_ros.node.images import ImageMessageError
from molmo_ros.node.locator import Locator
from molmo_ros.node.mailbox import Mailbox
from molmo_ros.node.outcome import Outcome
from molmo_ros.tracking import FrameHistory, GrayFrame, PointTracker, Track, TrackedPoint, same_objects

CATCH_UP_STEPS = 24
"""Through at most so many frames an answer is followed to the newest one; more are skipped evenly."""
LIFETIME = 10.0
"""Points without a new answer are given up after this, or three periods of the continuous queries [s]."""
UNCHANGED = (
    Status.CANCELLED,
    Status.TIMEOUT,
    Status.STALE,
    Status.NO_IMAGE,
    Status.UNPARSEABLE,
    Status.ERROR,
)
"""Outcomes that say nothing about the points that are followed."""


@dataclass
class Follower:
    """The points of one query.

    Attributes:
        outcome: The last answer.
        tracker: Follows its points.
        points: The answer's point by its track's id in `tracker`.
        ids: The id that is published, by the track's id: an object's first one.
        since: When the answer came, on the clock of `time.monotonic` [s].
    """

    outcome: Outcome
    tracker: PointTracker
    points: dict[int, Point]
    ids: dict[int, int]
    since: float


class CameraTracker:
    """Follows the points of one camera.

    Args:
        camera: The camera.
        value: The node's parameters by name.
        transforms: Looks up transforms.
        publish: Called with an outcome about the newest frame and a function that returns its picture.
        on_lost: Called when points were lost.
        log: The node's logger.
    """

    def __init__(
        self,
        camera: CameraInput,
        *,
        value: Callable[[str], Any],
        transforms: Any,
        publish: Callable[[Outcome, Callable[[], np.ndarray] | None], None],
        on_lost: Callable[[], None],
        log: Any,
    ) -> None:
        self._camera, self._value, self._transforms = camera, value, transforms
        self._publish, self._on_lost, self._log = publish, on_lost, log
        self._changed = threading.Condition()
        self._frames: Mailbox[Frame] = Mailbox()
        self._answers: list[tuple[Outcome, np.ndarray]] = []
        self._forget = self._stopping = False
        self._history = FrameHistory()
        self._followers: dict[str, Follower] = {}
        self._thread = threading.Thread(target=self._work, name=f"track_{camera.name}", daemon=True)
        self._thread.start()

    def on_frame(self, frame: Frame) -> None:
        """A frame has come; one that was not looked at yet is dropped."""
        if self._value("tracking"):
            with self._changed:
                self._frames.put(frame)
                self._changed.notify()

    def on_answer(self, outcome: Outcome, picture: np.ndarray) -> None:
        """A continuous query has its answer, about this picture (uint8 [h, w, 3] RGB)."""
        with self._changed:
            self._answers.append((outcome, picture))
            self._changed.notify()

    def clear(self) -> None:
        """Forget all frames and points: the clock jumped."""
        with self._changed:
            self._forget = True
            self._frames.clear()
            self._answers.clear()
            self._changed.notify()

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(1.0)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._frames.peek()[1] or self._stopping or self._forget)
                if self._stopping:
                    return
                if self._forget:
                    self._forget = False
                    self._history.clear()
                    self._followers.clear()
                frame = self._frames.newest()
                answers, self._answers = self._answers, []
            try:
                if frame is not None:
                    self._follow(frame, answers)
            except ImageMessageError as error:  # the query about such a frame says so
                self._log.debug(f"not tracked: {error}")
            except Exception:
                self._log.error(traceback.format_exc(), throttle_duration_sec=5.0)

    def _follow(self, frame: Frame, answers: Sequence[tuple[Outcome, np.ndarray]]) -> None:
        """One frame: all points are followed into it, those of new answers from their own frame on."""
        started, asked = time.perf_counter(), self._value("queries")
        self._give_up_old(asked)
        picture = picture_of(frame.message)
        gray = self._history.add(frame.stamp, picture)
        tracks = {query: one.tracker.step(gray) for query, one in self._followers.items()}
        for outcome, seen in answers:
            query = outcome.request.query.written
            if query in asked and outcome.status not in UNCHANGED:
                old = self._followers.pop(query, None)
                tracks[query] = self._begin(outcome, seen, old, tracks.get(query, []))
        for query, found in tracks.items():
            elapsed = (time.perf_counter() - started) * 1e3
            self._tell(self._followers[query], found, frame, picture, elapsed)

    def _begin(
        self, outcome: Outcome, seen: np.ndarray, old: Follower | None, old_tracks: Sequence[Track]
    ) -> list[Track]:
        """Follows a new answer's points from its frame to the newest; known objects keep their ids."""
        tracker = PointTracker()
        pixels = [one.pixel for one in outcome.points]
        first = GrayFrame.from_image(outcome.stamp, seen)
        tracks = tracker.start(first, [TrackedPoint(one.x, one.y, one.label) for one in pixels])
        points = {track.id: pixel for track, pixel in zip(tracks, pixels, strict=True)}
        newer = self._history.after(outcome.stamp)
        lost = [track for track in tracks if track.lost]
        for gray in _spread(newer, CATCH_UP_STEPS):
            tracks = tracker.step(gray)
            lost += [track for track in tracks if track.lost]
        ids = {track.id: track.id for track in tracks}
        if old is not None:
            known = [replace(one, id=old.ids[one.id]) for one in old_tracks]
            ids |= same_objects(tracks, known, outcome.size[0])
        self._followers[outcome.request.query.written] = Follower(
            outcome, tracker, points, ids, time.monotonic()
        )
        return [track for track in tracks if not track.lost] + lost

    def _tell(
        self, follower: Follower, tracks: Sequence[Track], frame: Frame, picture: np.ndarray, elapsed: float
    ) -> None:
        """Publishes the points of one query in one frame."""
        lost = [track for track in tracks if track.lost]
        kept = [track for track in tracks if not track.lost]
        before, header = follower.outcome, frame.message.header
        if not kept and not lost and before.points:
            return  # all were lost before, and that has been said
        size = picture.shape[1], picture.shape[0]
        locator = Locator(
            self._camera,
            header,
            size,
            before.request.target_frame or self._value("target_frame"),
            value=self._value,
            transforms=self._transforms,
            find_depth=partial(
                self._camera.depths.nearest,
                frame.stamp,
                self._value("depth_sync_tolerance"),
                self._value("depth_patience"),
            ),
        )
        pixels = [replace(follower.points[track.id], x=track.x, y=track.y) for track in kept]
        points = tuple(
            replace(one, track_id=follower.ids[track.id])
            for one, track in zip(locator.locate(pixels), kept, strict=True)
        )
        placed = any(point.xyz is not None for point in points)
        status, reason = before.status, ""
        if points:
            status = Status.FOUND if placed or locator.missing is None else locator.missing
            reason = "" if placed else f"no points in metres: {points[0].reason}"
        if lost:
            reason = f"{len(lost)} of {len(tracks)} points were lost: {lost[0].lost.value}"
            status = status if points else Status.STALE
            self._on_lost()
        self._publish(
            replace(
                before,
                status=status,
                header=header,
                size=size,
                points=points,
                frame_id=locator.frame_id if placed else "",
                viewpoint=locator.viewpoint,
                reason=reason,
                start_age=None,
                timing_ms={"track": elapsed},
            ),
            lambda: picture,
        )

    def _give_up_old(self, asked: Sequence[str]) -> None:
        """Forgets the points of queries that are not among the asked ones any more, or have no answer."""
        limit = max(LIFETIME, 3.0 / self._value("rate"))
        now = time.monotonic()
        self._followers = {
            query: one for query, one in self._followers.items() if query in asked and now - one.since < limit
        }


def _spread(frames: Sequence[GrayFrame], most: int) -> Sequence[GrayFrame]:
    """At most so many of the frames, evenly, and always the newest."""
    if len(frames) <= most:
        return frames
    chosen = np.linspace(0, len(frames) - 1, most).round().astype(int)
    return [frames[index] for index in chosen]
