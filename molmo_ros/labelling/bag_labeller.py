# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Labels one camera of one bag: as `molmo-ros bag` does, with the same answers as rows of the table."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import yaml
from rosbags.interfaces import Connection

from molmo_ros.bag.bag_files import METADATA
from molmo_ros.bag.camera_topics import CameraTopics, colour_topics, find_camera
from molmo_ros.bag.query_run import QueryRun, RunSettings
from molmo_ros.bag.recorded_bag import BagError, RecordedBag, RecordedMessage
from molmo_ros.bag.result_bag import ResultBag
from molmo_ros.labelling.label_table import FILE, Row, write_rows
from molmo_ros.labelling.label_unit import LabelUnit, UnitOutcome
from molmo_ros.labelling.labelling_error import LabellingError
from molmo_ros.labelling.queried_model import QueriedModel
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.node.records.query import Query
from molmo_ros.node.seams.publishing import Publisher

ANSWERS = "answers.mcap"
UNWANTED = (
    "~/annotated",
    "~/annotated/compressed",
    *(f"~/answered/{name}" for name in ("image", "depth", "camera_info")),
    *("~/object_regions", "~/regions", "~/clouds", "~/grasps"),
)
"""Topics of the node that the new bag is not to have: pictures, and what takes long."""
TRACKED = "TRACKED"
Answered = tuple[int, Any, list[tuple[str, list[Any]]]]
"""Log time [ns], an ObjectPointArray, and the points of it that were followed, by query."""


class BagLabeller:
    """For one thread.

    Args:
        model: What is asked.
    """

    def __init__(self, model: QueriedModel) -> None:
        self._model = model

    def label(self, unit: LabelUnit, folder: Path, on_progress: Callable[[int, int], None]) -> UnitOutcome:
        """Writes a unit's files: a bag of answers, and the rows.

        Args:
            unit: What is to be labelled.
            folder: Empty; where the files go.
            on_progress: Called with how many tenths of a second are done, and of how many.

        Raises:
            BagError: The bag cannot be read at all, has no such camera, or the files cannot be written.
            OSError: The files cannot be written.
        """
        task, begun = self._model.task, time.perf_counter()
        queries = task.queries_of(unit.camera)
        if not queries:
            raise LabellingError(f"no query is about the camera {unit.camera}")
        model = _Timed(self._model.molmo)
        with _CountedBag(unit.episode.path, unit.camera) as bag:
            topics = _camera(bag, unit.camera)
            bag.topic = topics.image
            settings = RunSettings(queries, task.rate, dict(task.parameters), track=task.track)
            run = QueryRun(bag, topics, unit.camera.strip("/"), settings, threading.Event())
            whole = max(1, (run.end - run.start) // 100_000_000)
            with _RowsOfBag(folder / ANSWERS, without=UNWANTED) as output:
                run.run(
                    model,
                    GenerateOptions,
                    output,
                    on_answer=lambda _array: None,
                    on_progress=lambda summary: on_progress(int(summary.done * 10), whole),
                )
            losses = list(bag.losses)
            if not run.summary.pictures:
                raise BagError(f"no picture of {topics.image} is in {unit.episode.path}")
            rows = self._rows(unit, queries, bag, output.answers, run.start)
        if run.summary.failed and not losses:
            losses.append(f"no picture of {topics.image} could be answered: {run.summary.failed}")
        statuses = Counter(run.summary.statuses)
        outcome = UnitOutcome(unit, folder, losses=losses, statuses=statuses)
        outcome.frames, outcome.asked = run.summary.pictures, run.summary.asked
        outcome.seconds = {"model": model.seconds, "all": time.perf_counter() - begun}
        write_rows(folder / FILE, rows, outcome.record())
        return outcome

    def _rows(
        self,
        unit: LabelUnit,
        queries: list[Query],
        bag: _CountedBag,
        answers: list[Answered],
        start: int,
    ) -> list[Row]:
        """The rows of all messages: of answers, and of what was followed into other pictures."""
        by_text = {query.written: query for query in queries}
        numbers: dict[
            int, int
        ] = {}  # of tracks: from 1 in each episode, whatever the process has seen before
        rows: list[Row] = []
        for log_time, array, followed in answers:
            stamp = array.header.stamp.sec * 1_000_000_000 + array.header.stamp.nanosec
            common: Row = {
                "dataset": unit.episode.dataset,
                "episode": unit.episode.name,
                "frame": bag.number(log_time),
                "time": (log_time - start) * 1e-9,
                "stamp_ns": stamp,
                "camera": unit.camera,
                "key_frame": not followed,
                "calibrated": array.calibrated,
                "model": self._model.task.model,
                "revision": self._model.task.revision,
                "engine": self._model.engine,
            }
            if not followed:
                rows += self._answer_rows(common, by_text[array.query], array)
            for written, points in followed:
                query = by_text[written]
                more = {
                    "query": written,
                    "kind": query.kind.value if query.kind else "",
                    "status": TRACKED,
                    "prompt": self._model.prompt(query),
                }
                rows += [common | _point(one, array.frame_id) | more for one in points]
        for row in rows:
            if row.get("track"):
                row["track"] = numbers.setdefault(row["track"], len(numbers) + 1)
        return rows

    def _answer_rows(self, common: Row, query: Query, array: Any) -> list[Row]:
        common = common | {
            "query": query.written,
            "kind": array.kind,
            "status": array.status,
            "reason": array.reason,
            "text": array.text,
            "count": array.count if array.has_count else None,
            "not_found_probability": array.not_found_probability if array.has_not_found_probability else None,
            "prompt": self._model.prompt(query),
        }
        if not array.points:
            return [common | {"label": query.texts[0] if query.points else ""}]
        return [common | _point(one, array.frame_id) for one in array.points]


def bag_cameras(path: Path) -> list[str]:
    """The topics of a bag's cameras; from its metadata where it has some.

    Raises:
        BagError: It cannot be read, or has no camera.
    """
    try:
        with (path / METADATA).open("rb") as file:
            content: Any = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        listed = content["rosbag2_bagfile_information"]["topics_with_message_count"]
        types = {
            one["topic_metadata"]["name"]: one["topic_metadata"]["type"]
            for one in listed
            if one["message_count"]
        }
    except (OSError, yaml.YAMLError, LookupError, TypeError):
        with RecordedBag(path) as bag:
            types = {one.topic: one.msgtype for one in bag.connections if one.msgcount}
    if not (topics := colour_topics(types)):
        find_camera(types)  # says what there is instead
    return topics


def camera_of(name: str, topics: list[str]) -> str:
    """The topic that a camera's name means: the topic, or one with that name among its parts.

    Raises:
        BagError: There is none, or several.
    """
    found = [one for one in topics if name == one] or [one for one in topics if name in one.split("/")]
    if len(found) == 1:
        return found[0]
    said = f"several topics are the camera {name!r}'s" if found else f"there is no camera {name!r}"
    raise BagError(f"{said}; topics of pictures: {', '.join(found or topics)}")


def _camera(bag: RecordedBag, topic: str) -> CameraTopics:
    types = {one.topic: one.msgtype for one in bag.connections if one.msgcount}
    return find_camera(types, image=topic) if topic in types else find_camera(types, camera=topic)


def _point(one: Any, frame_id: str) -> Row:
    position = one.position
    return {
        "label": one.label,
        "track": one.track_id or None,
        "x": one.pixel.x,
        "y": one.pixel.y,
        "score": one.score if one.has_score else None,
        "position_x": position.x if one.has_position else None,
        "position_y": position.y if one.has_position else None,
        "position_z": position.z if one.has_position else None,
        "frame_id": frame_id if one.has_position else None,
    }


class _CountedBag(RecordedBag):
    """Knows the number of each picture by its log time.

    Attributes:
        topic: Of the pictures.
    """

    def __init__(self, path: Path, topic: str) -> None:
        super().__init__(path)
        self.topic = topic
        self._numbers: dict[int, int] = {}
        self._count = 0

    def __enter__(self) -> _CountedBag:
        super().__enter__()
        return self

    def number(self, log_time: int) -> int:
        """Of the picture that was recorded at a time [ns]."""
        return self._numbers[log_time]

    def messages(
        self, connections: Collection[Connection], start: int | None = None, stop: int | None = None
    ) -> Iterator[RecordedMessage]:
        """As of any bag."""
        for message in super().messages(connections, start, stop):
            if message.connection.topic == self.topic:
                self._numbers.setdefault(message.time, self._count)
                self._count += 1
            yield message


class _RowsOfBag(ResultBag):
    """Also keeps what is to become rows.

    Attributes:
        answers: Log time [ns] and message; of what was followed, the points by query.
    """

    def __init__(self, path: Path, *, without: tuple[str, ...]) -> None:
        super().__init__(path, without=without)
        self.answers: list[Answered] = []

    def __enter__(self) -> _RowsOfBag:
        super().__enter__()
        return self

    def answered_now(self) -> dict[str, Any]:
        """The answers about the picture whose turn it is, by query."""
        found = {}
        for log_time, array, followed in reversed(self.answers):
            if log_time != self.time:
                break
            if not followed:
                found[array.query] = array
        return found

    def create_publisher(self, kind: type, name: str, depth: int, /) -> Publisher:
        """As of any bag of results."""
        publisher = super().create_publisher(kind, name, depth)
        return _Kept(publisher, self, name == "~/result") if name in ("~/result", "~/objects") else publisher


class _Kept:
    """Passes messages on, and keeps them."""

    def __init__(self, publisher: Publisher, bag: _RowsOfBag, answers: bool) -> None:
        self._publisher, self._bag, self._are_answers = publisher, bag, answers
        self.topic_name: str = publisher.topic_name

    def publish(self, message: Any) -> None:
        """One message: an answer, or the points of all queries in one picture."""
        self._publisher.publish(message)
        if self._are_answers:
            self._bag.answers.append((self._bag.time, message, []))
            return
        answered = self._bag.answered_now()
        followed: dict[str, list[Any]] = {}
        for one in message.points:
            query = one.query or message.query
            if query not in answered:
                followed.setdefault(query, []).append(one)
                continue
            # The picture that was asked about just now: its points have tracks by now.
            same = (one.pixel.x, one.pixel.y)
            for point in answered[query].points:
                if not point.track_id and (point.pixel.x, point.pixel.y) == same:
                    point.track_id = one.track_id
                    break
        if message.tracked:
            self._bag.answers += [
                (self._bag.time, message, [(query, points)]) for query, points in followed.items()
            ]

    def get_subscription_count(self) -> int:
        """As of the publisher."""
        return self._publisher.get_subscription_count()

    def wait_for_all_acked(self, timeout: Any) -> bool:
        """As of the publisher."""
        return self._publisher.wait_for_all_acked(timeout)


class _Timed:
    """A model that knows how long it took."""

    def __init__(self, molmo: Any) -> None:
        self._molmo, self.seconds = molmo, 0.0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._molmo, name)
        if name not in ("encode", "answers", "point", "count", "ask"):
            return value

        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return value(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - started

        return timed
