# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Labels one camera of one LeRobot episode."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from molmo_ros.labelling.key_frames import key_frames
from molmo_ros.labelling.label_table import FILE, Row, write_rows
from molmo_ros.labelling.label_unit import LabelUnit, UnitOutcome
from molmo_ros.labelling.labelling_error import LabellingError
from molmo_ros.labelling.lerobot_dataset import TOLERANCE, EpisodeFrames, LeRobotDataset
from molmo_ros.labelling.point_follower import PointFollower
from molmo_ros.labelling.queried_model import QueriedModel
from molmo_ros.labelling.video_frames import VideoFrame, video_frames
from molmo_ros.molmo.status import Status
from molmo_ros.node.records.query import Query
from molmo_ros.pictures.decode import Bounds, decode, look_through
from molmo_ros.tracking import GrayFrame, TrackedPoint

TRACKED, LOST = "TRACKED", "LOST"
"""Statuses of a point that was followed into a frame, and of one that could not be."""
BOUNDS = Bounds(pixels=1 << 27, memory=1 << 31)
"""Of a picture in a row."""


class VideoLabeller:
    """For one thread.

    Args:
        model: What is asked.
        threads: That decode a video.
    """

    def __init__(self, model: QueriedModel, threads: int = 1) -> None:
        self._model, self._threads = model, threads

    def label(self, unit: LabelUnit, folder: Path, on_progress: Callable[[int, int], None]) -> UnitOutcome:
        """Writes a unit's files.

        Args:
            unit: What is to be labelled.
            folder: Empty; where the files go.
            on_progress: Called with how many frames are done, and of how many.

        Raises:
            LabellingError: The episode cannot be read at all.
            OSError: The files cannot be written.
        """
        task = self._model.task
        dataset = LeRobotDataset(unit.episode.path, unit.episode.dataset)
        camera = dataset.camera(unit.camera)
        queries = task.queries_of(camera)
        if not queries:
            raise LabellingError(f"no query is about the camera {camera}")
        episode = dataset.frames(unit.episode)
        keys = key_frames(episode.times.tolist(), task.rate)
        wanted = list(range(len(episode.times))) if task.track else keys
        outcome = UnitOutcome(unit, folder, frames=len(episode.times), asked=len(keys))
        outcome.seconds = {"model": 0.0, "read": 0.0, "track": 0.0}
        begun, rows = time.perf_counter(), []
        run = _EpisodeRun(self._model, queries, camera, task.track, set(keys), outcome)
        frames = self._frames(dataset, unit, camera, episode, wanted)
        for done in range(len(wanted)):
            started = time.perf_counter()
            frame = next(frames)
            outcome.seconds["read"] += time.perf_counter() - started
            place = wanted[frame.number]
            common = {
                "dataset": unit.episode.dataset,
                "episode": unit.episode.name,
                "episode_index": unit.episode.index,
                "frame": int(episode.indices[place]),
                "time": float(episode.times[place]),
                "camera": camera,
            }
            rows += [common | row for row in run.look(place, frame)]
            on_progress(done + 1, len(wanted))
        outcome.statuses = Counter(row["status"] for row in _answers(rows))
        outcome.seconds["all"] = time.perf_counter() - begun
        write_rows(folder / FILE, rows, outcome.record() | {"size": run.size})
        return outcome

    def _frames(
        self,
        dataset: LeRobotDataset,
        unit: LabelUnit,
        camera: str,
        episode: EpisodeFrames,
        wanted: list[int],
    ) -> Iterator[VideoFrame]:
        if dataset.is_video(camera):
            start = dataset.video_start(unit.episode, camera)
            times = (episode.times[wanted] + start).tolist()
            path = dataset.video_file(unit.episode, camera)
            return video_frames(path, times, max(TOLERANCE, 0.25 / dataset.fps), self._threads)
        return _pictures(dataset.coded_pictures(unit.episode, camera), wanted)


class _EpisodeRun:
    """What is known from frame to frame."""

    def __init__(
        self,
        model: QueriedModel,
        queries: list[Query],
        camera: str,
        track: bool,
        keys: set[int],
        outcome: UnitOutcome,
    ) -> None:
        self._model, self._queries, self._camera = model, queries, camera
        self._keys, self._outcome = keys, outcome
        self._follower = PointFollower() if track else None
        self.size: list[int] = []
        self._unread = 0
        self._sureness: dict[int, Row] = {}  # of the answer that a track comes from

    def look(self, place: int, frame: VideoFrame) -> list[Row]:
        """The rows of a frame."""
        if frame.pixels is None:
            self._unread += 1
            if self._unread == 1:
                self._outcome.losses.append(f"{self._camera}: {frame.reason}")
            if place not in self._keys:
                return []
            return [
                row | {"key_frame": True}
                for query in self._queries
                for row in self._model.rows(query, LabellingError(frame.reason))
            ]
        self.size = [frame.pixels.shape[1], frame.pixels.shape[0]]
        rows, gray = [], None
        if self._follower is not None:
            started = time.perf_counter()
            gray = GrayFrame.from_image(place, frame.pixels)
            for number, tracks in self._follower.step(gray).items():
                rows += [
                    {
                        "query": self._queries[number].written,
                        "kind": "point",
                        "label": track.label,
                        "key_frame": False,
                        "track": track.id,
                        **self._sureness.get(track.id, {}),
                        "x": track.x if track.lost is None else None,
                        "y": track.y if track.lost is None else None,
                        "status": TRACKED if track.lost is None else LOST,
                        "reason": "" if track.lost is None else track.lost.value,
                        "model": self._model.task.model,
                        "revision": self._model.task.revision,
                        "engine": self._model.engine,
                        "prompt": self._model.prompt(self._queries[number]),
                    }
                    for track in tracks
                ]
            self._outcome.seconds["track"] += time.perf_counter() - started
        return self._ask(frame.pixels, gray) if place in self._keys else rows

    def _ask(self, picture: np.ndarray, gray: GrayFrame | None) -> list[Row]:
        started = time.perf_counter()
        outcomes = self._model.ask(picture, self._queries, self._camera)
        self._outcome.seconds["model"] += time.perf_counter() - started
        rows: list[Row] = []
        for number, (query, answer) in enumerate(zip(self._queries, outcomes, strict=True)):
            its = self._model.rows(query, answer)
            if self._follower is not None and gray is not None and its[0]["status"] in _ABOUT_POINTS:
                placed = [row for row in its if row.get("x") is not None]
                points = [TrackedPoint(row["x"], row["y"], row["label"]) for row in placed]
                for row, track in zip(placed, self._follower.begin(number, gray, points), strict=True):
                    row["track"] = track
                    self._sureness[track] = {"score": row["score"], "calibrated": row["calibrated"]}
            rows += [row | {"key_frame": True} for row in its]
        return rows


_ABOUT_POINTS = {status.value for status in Status if status.about_points}


def _pictures(coded: list[bytes], wanted: list[int]) -> Iterator[VideoFrame]:
    for number, place in enumerate(wanted):
        try:
            stored = decode(look_through(coded[place]), BOUNDS)
            code = cv2.COLOR_GRAY2RGB if stored.ndim == 2 else cv2.COLOR_BGR2RGB
            yield VideoFrame(number, cv2.cvtColor(stored, code))
        except Exception as error:  # whatever a damaged picture leads to
            yield VideoFrame(number, None, f"the picture cannot be read: {error}")


def _answers(rows: list[Row]) -> list[Row]:
    """One row of each answer about a key frame."""
    seen: dict[tuple[int, str], Row] = {}
    for row in rows:
        if row["key_frame"]:
            seen.setdefault((row["frame"], row["query"]), row)
    return list(seen.values())
