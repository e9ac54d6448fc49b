# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Queries over the pictures of a bag, in the order of the recording."""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from molmo_msgs.msg import ObjectPointArray

from molmo_ros.bag.camera_topics import CameraTopics
from molmo_ros.bag.recorded_bag import BagError, RecordedBag, RecordedMessage
from molmo_ros.bag.recorded_camera import RecordedCamera
from molmo_ros.bag.recorded_transforms import MOVING, STATIC, RecordedTransforms
from molmo_ros.bag.result_bag import ResultBag
from molmo_ros.molmo.status import Status
from molmo_ros.node.answers.answering import Answerer
from molmo_ros.node.answers.camera_tracker import CameraTracker
from molmo_ros.node.answers.object_finder import ObjectFinder
from molmo_ros.node.answers.sight import Sight
from molmo_ros.node.cameras.images import ImageMessageError
from molmo_ros.node.delivery.current_points import CurrentPoints
from molmo_ros.node.messages.object_outputs import ObjectOutputs
from molmo_ros.node.messages.object_points import object_points
from molmo_ros.node.messages.outputs import Outputs
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.records.found_objects import FoundObjects
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.records.query import Query
from molmo_ros.node.records.query_names import query_names
from molmo_ros.node.records.request import Request, Source
from molmo_ros.node.records.view import View
from molmo_ros.node.seams.pointing_model import OptionsMaker, PointingModel

LOG = logging.getLogger(__name__)
LOOK_AROUND = 1_000_000_000
"""How far before and after a picture its depth, calibration and transforms may be recorded [ns]."""
EARLY = 0.05
"""A picture may come so much of the period before its time: cameras are not quite in time either."""
OFFLINE = {"max_frame_age": 0.0, "depth_patience": 0.0, "transform_patience": 0.0, "rate": 1e-9}
"""Parameters of the node for which the time on the wall matters: here it does not."""


@dataclass(frozen=True)
class RunSettings:
    """What is asked, about which part of a bag.

    Attributes:
        queries: Asked about each picture that is asked about.
        rate: How often, at most, in the time of the recording [Hz]; 0 means about every picture.
        parameters: The node's, where they are not their defaults: `target_frame`, `image_is_rectified`, ...
        start: Where to begin [s] after the first message.
        duration: How much of the recording [s]; infinite means to its end.
        track: Follow the points into the pictures between.
        copy: Copy the bag's topics.
        regions: Look for the objects at the points.
    """

    queries: Sequence[Query]
    rate: float = 1.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    start: float = 0.0
    duration: float = math.inf
    track: bool = False
    copy: bool = False
    regions: bool = False


@dataclass
class RunSummary:
    """What a run has done so far.

    Attributes:
        pictures: How many were in the part of the bag that was read.
        asked: How many of them were asked about.
        statuses: How many answers of each status.
        error: Why the last one with the status ERROR is one.
        answer_ms: How long each took [ms].
        done: How much of the bag is done [s].
    """

    pictures: int = 0
    asked: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    error: str = ""
    answer_ms: list[float] = field(default_factory=list)
    done: float = 0.0

    @property
    def failed(self) -> str:
        """Why all answers are errors; empty where one is not."""
        return self.error if set(self.statuses) == {Status.ERROR.value} else ""


class _Waiting(NamedTuple):
    """A message whose turn will come: what is to be done besides copying it."""

    message: RecordedMessage
    look: bool
    ask: bool


class QueryRun:
    """Asks a model about the pictures of a bag.

    A picture waits until the recording is `LOOK_AROUND` past it: depth, calibration and transforms are used wherever
    they were recorded around it.

    Args:
        bag: An open bag.
        topics: The camera's.
        camera: The camera's name.
        settings: What is asked.
        stop: Ends the run, and the running answer, when set.

    Attributes:
        start, end: The part of the recording [ns], both included.

    Raises:
        BagError: That part is empty.
    """

    def __init__(
        self,
        bag: RecordedBag,
        topics: CameraTopics,
        camera: str,
        settings: RunSettings,
        stop: threading.Event,
    ) -> None:
        self.summary = RunSummary()
        self.start = bag.start + round(settings.start * 1e9)
        left = (bag.end - self.start) * 1e-9
        if left < 0:
            length = (bag.end - bag.start) * 1e-9
            raise BagError(f"--start {settings.start:g} s is after the end: the bag is {length:.2f} s long")
        self.end = self.start + round(min(left, settings.duration) * 1e9)
        self._bag, self._topics, self._settings, self._stop = bag, topics, settings, stop
        queries = [query.written for query in settings.queries]
        self._parameters = Settings.of({**settings.parameters, **OFFLINE, "queries": queries})
        self._camera = RecordedCamera(camera, topics, 2 * LOOK_AROUND)  # before and after a picture
        calibrated = bool(topics.info) or any(self._parameters.camera_matrix)
        if not (topics.depth and calibrated):
            self._camera.without_depth = f"the bag has no {'camera_info' if topics.depth else 'depth'}"
        self._transforms = RecordedTransforms()
        self._due: int | None = None
        self._time = 0
        self._answers: list[tuple[Outcome, np.ndarray]] = []  # about the picture whose turn it is
        self._log = _Log()

    def run(
        self,
        model: PointingModel,
        options: OptionsMaker,
        output: ResultBag,
        *,
        on_answer: Callable[[ObjectPointArray], None],
        on_progress: Callable[[RunSummary], None],
    ) -> None:
        """Answer all, or until `stop` is set.

        Args:
            model, options: What `node.answers.inference.load_model` made.
            output: An open bag.
            on_answer: Called with every answer.
            on_progress: Called after every picture.

        Raises:
            BagError: A bag cannot be read on, or written.
            molmo_ros.node.answers.fatal_error.FatalModelError: The model has failed for good.
        """
        queries = tuple(self._settings.queries)
        self._output, self._outputs, self._on_answer = (
            output,
            Outputs(output, self._log, (BagError,)),
            on_answer,
        )
        self._objects = ObjectOutputs(output, self._log, (BagError,))
        self._finder = ObjectFinder(lambda: self._parameters, self._log)
        self._current = CurrentPoints(self._outputs, self._show, lambda: queries, [self._camera.name])
        self._outputs.name_queries(query_names(queries).values())
        self._answerer = Answerer(
            model,
            options,
            cameras={self._camera.name: self._camera},
            settings=lambda: self._parameters,
            now=lambda: self._time,
            transforms=self._transforms,
            log=self._log,
            moves=lambda _camera, written: self._tracker.moves.get(written, ()),
        )
        self._tracker = CameraTracker(
            self._camera,
            settings=lambda: self._parameters,
            transforms=self._transforms,
            publish=self._publish_tracked,
            on_lost=lambda _written: None,
        )
        waiting: deque[_Waiting] = deque()
        for message in self._messages():
            while waiting and waiting[0].message.time + LOOK_AROUND < message.time:
                self._finish(waiting.popleft(), on_progress)
            if self._stop.is_set():
                return
            self._keep(message)
            if self.start <= message.time <= self.end and (turn := self._turn(message)):
                waiting.append(turn)
        while waiting and not self._stop.is_set():
            self._finish(waiting.popleft(), on_progress)
        if not self._stop.is_set():
            self.summary.done = (self.end - self.start) * 1e-9
            on_progress(self.summary)

    def _messages(self) -> Iterator[RecordedMessage]:
        """Everything that is needed, in the order of the recording, after what holds at all times and was sent once."""
        connections, topics = self._bag.connections, self._topics
        pictures = sum(one.msgcount for one in connections if one.topic == topics.image)
        once = [
            one
            for one in connections
            if one.topic == STATIC
            or (one.topic in (topics.info, topics.depth_info) and one.msgcount < pictures / 2)
        ]
        for message in self._bag.messages(once):
            if self._settings.copy and message.time < self.start:
                self._output.copy(message._replace(time=self.start))
            yield message._replace(time=min(message.time, self.start - 1))
        wanted = {topics.image, topics.depth, topics.info, topics.depth_info, MOVING}
        read = [one for one in connections if one.topic in wanted or self._settings.copy]
        yield from self._bag.messages(read, self.start - LOOK_AROUND, self.end + LOOK_AROUND + 1)

    def _keep(self, message: RecordedMessage) -> None:
        """Keep what helps to place points."""
        topic = message.connection.topic
        try:
            if topic in (MOVING, STATIC):
                self._transforms.add(message.data, topic == STATIC)
            elif topic in (self._topics.depth, self._topics.info, self._topics.depth_info):
                self._camera.put(message)
                self._warn_of_rectified(message)
        except Exception as error:  # whatever a damaged message leads to
            self._log.error(f"{topic}: a message cannot be read: {error}")

    def _warn_of_rectified(self, message: RecordedMessage) -> None:
        """Say where the topic's name and the parameter `image_is_rectified` do not agree."""
        said = "image_is_rectified" in self._settings.parameters or any(self._parameters.camera_matrix)
        if message.connection.topic == self._topics.info and not said and self._camera.seems_rectified():
            self._log.warning(
                f"{self._topics.image} is rectified, by its name, but camera_info has a distortion, which is taken off "
                "once more: --image-is-rectified uses P instead, --no-image-is-rectified says that K and D are right"
            )

    def _turn(self, message: RecordedMessage) -> _Waiting | None:
        """What is to be done about a message when its turn comes; None where nothing is."""
        is_picture = message.connection.topic == self._topics.image
        self.summary.pictures += is_picture
        ask = is_picture and self._is_due(message.time)
        look = ask or (is_picture and self._settings.track)
        return _Waiting(message, look, ask) if look or self._settings.copy else None

    def _finish(self, turn: _Waiting, on_progress: Callable[[RunSummary], None]) -> None:
        """The turn of a message."""
        if self._settings.copy:
            self._output.copy(turn.message)
        if not turn.look:
            return
        self._time = self._output.time = turn.message.time
        self._look(turn.message, turn.ask)
        if not self._stop.is_set():
            self.summary.done = (turn.message.time - self.start) * 1e-9
            on_progress(self.summary)

    def _is_due(self, time: int) -> bool:
        """Whether a picture of that log time [ns] is asked about."""
        if not self._settings.rate:
            return True
        period = round(1e9 / self._settings.rate)
        slack = round(EARLY * period)
        due = time if self._due is None else self._due
        if time < due - slack:
            return False
        self._due = due + period * ((time + slack - due) // period + 1)
        return True

    def _look(self, message: RecordedMessage, ask: bool) -> None:
        """One picture: asked about, or only followed into."""
        requests = [Request(query, Source.CONTINUOUS, cancel=self._stop) for query in self._settings.queries]
        self._answers.clear()
        self.summary.asked += ask
        try:
            frame = self._camera.show(message)
        except Exception as error:  # whatever a damaged message leads to
            reason = f"the message cannot be read: {error}"
            self._log.error(f"{self._topics.image}: {reason}")
            for request in requests if ask else ():
                self._deliver(Outcome(request, Status.ERROR, camera=self._camera.name, reason=reason), None)
            return
        if ask:
            self._ask(requests)
            self._current.end(self._camera.name)
        if self._settings.track and not self._stop.is_set():
            try:
                self._tracker.follow(frame, self._answers)
            except ImageMessageError as error:  # the queries about such a frame say so
                self._log.error(f"not tracked: {error}")

    def _ask(self, requests: list[Request]) -> None:
        """Answers are written in the order of the queries, whichever is answered first: every run writes the same."""
        found: dict[str, tuple[Outcome, Sight | None]] = {}

        def keep(outcome: Outcome, sight: Sight | None) -> None:
            found[outcome.request.id] = outcome, sight

        try:
            self._answerer.answer(requests, begin=lambda _request: True, deliver=keep)
        finally:
            for request in requests:
                if request.id in found:
                    self._deliver(*found[request.id])

    def _deliver(self, outcome: Outcome, sight: Sight | None) -> None:
        if self._stop.is_set():
            return
        array = object_points(outcome, now=self._time)
        self._outputs.publish_result(array)
        self._outputs.publish_answer(array.text)
        if sight is not None and outcome.answer is not None:
            if self._settings.track:
                self._answers.append((outcome, sight.picture))
            else:
                self._current.add(outcome, array, sight.frame, lambda: sight.picture)
        self.summary.statuses[array.status] += 1
        if array.status == array.ERROR:
            self.summary.error = array.reason
        self.summary.answer_ms.append(outcome.timing_ms.get("total", 0.0))
        self._on_answer(array)

    def _show(self, array: ObjectPointArray, view: View) -> None:
        """What shows the points of a picture, with their objects where those are wanted."""
        found = FoundObjects(array, view)
        if self._settings.regions and self._objects.heard:
            found = self._finder.find(array, view, grasps=self._objects.grasps_heard)
        self._objects.publish(found, self._time)
        self._objects.remove_gone(self._time, self._parameters.collision_timeout, self._parameters.queries)

    def _publish_tracked(self, outcomes: Sequence[Outcome], picture: Callable[[], np.ndarray]) -> None:
        self._current.tracked([(one, object_points(one, now=self._time)) for one in outcomes], picture)


class _Log:
    """What the node's parts say, each line once."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def error(self, message: str, /, *, throttle_duration_sec: float = 0.0) -> None:
        if message not in self._said:
            self._said.add(message)
            LOG.error(message)

    warning = debug = error
