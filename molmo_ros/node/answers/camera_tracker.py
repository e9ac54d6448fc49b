# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Follows the points of a camera's continuous queries between answers.

An answer is about a frame that is old by the time it comes. Its points are followed from that frame to the newest one,
and from then on with every frame, until the next answer about the same query replaces them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from std_msgs.msg import Header

from molmo_ros.molmo.answer import Point
from molmo_ros.molmo.pointing.moved_points import Move
from molmo_ros.molmo.status import Status
from molmo_ros.node.answers.locator import Locator
from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.records.frame import Frame, stamp_ns
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.seams.transform_source import TransformSource
from molmo_ros.tracking import FrameHistory, GrayFrame, PointTracker, Track, TrackedPoint, catch_up

if TYPE_CHECKING:
    from molmo_ros.node.records.frame import DepthMessage

CATCH_UP_STEPS = 24
"""Through about so many frames an answer is followed to the newest one; others are skipped evenly."""
LIFETIME = 10.0
"""Points without a new answer are given up after this, or three periods of the continuous queries [s]."""


@dataclass
class Followed:
    """The points of one query.

    Attributes:
        outcome: The last answer.
        points: The answer's points by their tracks' ids.
        since: When the answer came, on the clock of `time.monotonic` [s].
        lost: Why none of its points can be followed any more; empty while one is.
    """

    outcome: Outcome
    points: dict[int, Point]
    since: float
    lost: str = ""


class CameraTracker:
    """Follows the points of one camera. For one thread.

    Args:
        camera: The camera.
        settings: Returns the parameters.
        transforms: Looks up transforms.
        publish: Called with the outcomes of all queries that have an answer, all about one frame, and a function that
            returns its picture.
        on_lost: Called with what was written where points of a query were lost.

    Attributes:
        moves: By what was written, where the points of each answer are in the newest frame. Replaced, never changed:
            any thread may read it.
    """

    def __init__(
        self,
        camera: CameraInput,
        *,
        settings: Callable[[], Settings],
        transforms: TransformSource,
        publish: Callable[[Sequence[Outcome], Callable[[], np.ndarray]], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._camera, self._settings, self._transforms = camera, settings, transforms
        self._publish, self._on_lost = publish, on_lost
        self._history = FrameHistory()
        self._tracker = PointTracker()
        self._followed: dict[str, Followed] = {}
        self.moves: Mapping[str, Sequence[Move]] = {}
        self._told = 0

    def clear(self) -> None:
        """Forget all frames and points: the clock jumped."""
        self._history.clear()
        self._tracker = PointTracker()
        self._followed.clear()
        self.moves = {}
        self._told = 0

    def follow(self, frame: Frame, answers: Sequence[tuple[Outcome, np.ndarray]]) -> None:
        """One frame: all points are followed into it, those of new answers from their own frame on.

        Args:
            frame: The camera's newest.
            answers: Outcomes of continuous queries, and the pictures they are about (uint8 [h, w, 3] RGB).

        Raises:
            ImageMessageError: The frame cannot be read.
        """
        started, asked = time.perf_counter(), self._settings().queries
        self._give_up_old(asked)
        picture = self._camera.reader.read(frame.message, self._settings().image_bits).pixels
        gray = self._history.add(frame.stamp, picture)
        stepped = self._tracker.step(gray)
        tracks = {
            query: [track for track in stepped if track.id in one.points]
            for query, one in self._followed.items()
        }
        fresh = [
            (outcome, seen)
            for outcome, seen in answers
            if outcome.request.query.written in asked and outcome.status.about_points
        ]
        for outcome, _ in [one for one in fresh if one[0].stamp > gray.stamp]:
            # The camera's stamps went back since: nothing leads from that frame to this one.
            self._on_lost(outcome.request.query.written)
        fresh = [one for one in fresh if one[0].stamp <= gray.stamp]
        for outcome, seen in fresh:
            tracks[outcome.request.query.written] = self._begin(outcome, seen, gray)
        self.moves = {query: self._moves(self._followed[query], found) for query, found in tracks.items()}
        elapsed = (time.perf_counter() - started) * 1e3
        if any(tracks.values()):
            self._tell(tracks, frame, picture, elapsed)
        elif fresh:
            self._tell_nothing(fresh, frame, picture)

    def _moves(self, followed: Followed, tracks: Sequence[Track]) -> list[Move]:
        return [
            ((followed.points[track.id].x, followed.points[track.id].y), (track.x, track.y))
            for track in tracks
            if not track.lost
        ]

    def _begin(self, outcome: Outcome, seen: np.ndarray, newest: GrayFrame) -> list[Track]:
        """Follows a new answer's points from its frame to the newest, in place of those of the answer before."""
        query, pixels = outcome.request.query.written, [one.pixel for one in outcome.points]
        frames = [newest]
        if not outcome.stamp:  # without stamps it is not known which frames came between
            frames = [GrayFrame.from_image(0, seen), newest]
        elif outcome.stamp != newest.stamp:
            frames = [GrayFrame.from_image(outcome.stamp, seen), *self._history.after(outcome.stamp)]
        fresh, tracks = catch_up(
            frames,
            [TrackedPoint(one.x, one.y, one.label) for one in pixels],
            stride=-(-len(frames) // CATCH_UP_STEPS),
        )
        old = self._followed[query].points if query in self._followed else {}
        kept_ids = self._tracker.adopt(fresh, instead_of=old)
        tracks = [replace(track, id=kept_ids.get(track.id, track.id)) for track in tracks]
        points = {track.id: pixel for track, pixel in zip(tracks, pixels, strict=True)}
        self._followed.pop(query, None)  # in the order of the answers
        self._followed[query] = Followed(outcome, points, time.monotonic())
        return tracks

    def _tell(
        self, tracks: dict[str, list[Track]], frame: Frame, picture: np.ndarray, elapsed: float
    ) -> None:
        """Publishes what is known of all queries in one frame into which some points were followed."""
        outcomes = [
            self._followed_into(one, tracks.get(query, []), frame, picture)
            for query, one in self._followed.items()
        ]
        outcomes[0] = replace(outcomes[0], timing_ms={"track": elapsed})  # it was done for all of them
        self._told = frame.stamp
        self._publish(outcomes, partial(_same, picture))

    def _tell_nothing(
        self, answers: Sequence[tuple[Outcome, np.ndarray]], frame: Frame, picture: np.ndarray
    ) -> None:
        """Publishes answers without points, where nothing is followed: about the frame that was looked at.

        Where a later frame has been told about already, about the newest: no frame is told about twice.
        """
        outcome, seen = answers[-1]
        if outcome.stamp <= self._told:
            header, message, shown = frame.message.header, frame.message, picture
        else:
            header, message, shown = outcome.header, outcome.message, seen
        self._told = stamp_ns(header)
        outcomes = [self._unmoved(one, header, message, shown) for one in self._followed.values()]
        self._publish(outcomes, partial(_same, shown))

    def _unmoved(
        self, followed: Followed, header: Header, message: DepthMessage | None, picture: np.ndarray
    ) -> Outcome:
        """What was answered, as it is known of another frame: points that are not followed into it are unknown."""
        before = followed.outcome
        if before.points:
            reason = followed.lost or "its points are not followed any more"
            before = replace(before, status=Status.STALE, points=(), frame_id="", reason=reason)
        return replace(
            before,
            header=header,
            size=(picture.shape[1], picture.shape[0]),
            start_age=None,
            timing_ms={},
            answered=before.taken,
            surroundings=None,
            message=message,
        )

    def _followed_into(
        self, followed: Followed, tracks: Sequence[Track], frame: Frame, picture: np.ndarray
    ) -> Outcome:
        """One query's points in a frame."""
        if not tracks:
            return self._unmoved(followed, frame.message.header, frame.message, picture)
        lost = [track.lost for track in tracks if track.lost]
        kept = [track for track in tracks if not track.lost]
        before, header = followed.outcome, frame.message.header
        size = picture.shape[1], picture.shape[0]
        settings = self._settings()
        locator = Locator(
            self._camera,
            header,
            size,
            before.request.target_frame,
            settings=settings,
            transforms=self._transforms,
            find_depth=partial(
                self._camera.depths.nearest,
                frame.stamp,
                settings.depth_sync_tolerance,
                settings.depth_patience,
            ),
        )
        pixels = [replace(followed.points[track.id], x=track.x, y=track.y) for track in kept]
        points = tuple(
            replace(one, track_id=track.id) for one, track in zip(locator.locate(pixels), kept, strict=True)
        )
        placed = any(point.xyz is not None for point in points)
        status, reason = before.status, ""
        if points:
            status = Status.FOUND if placed or locator.missing is None else locator.missing
            reason = "" if placed else f"no points in metres: {points[0].reason}"
        if lost:
            reason = f"{len(lost)} of {len(tracks)} points were lost: {lost[0].value}"
            status = status if points else Status.STALE
            followed.lost = "" if points else reason
            self._on_lost(before.request.query.written)
        return replace(
            before,
            status=status,
            header=header,
            size=size,
            points=points,
            frame_id=locator.frame_id if placed else "",
            viewpoint=locator.viewpoint,
            reason=reason,
            start_age=None,
            timing_ms={},
            answered=before.taken,
            surroundings=locator.surroundings,
            message=frame.message,
        )

    def _give_up_old(self, asked: Sequence[str]) -> None:
        """Forgets the points of queries that are not among the asked ones any more, or have no answer."""
        limit = max(LIFETIME, 3.0 / self._settings().rate)
        now = time.monotonic()
        for query, one in list(self._followed.items()):
            if query not in asked or now - one.since >= limit:
                self._tracker.forget(one.points)
                del self._followed[query]


def _same(picture: np.ndarray) -> np.ndarray:
    return picture
