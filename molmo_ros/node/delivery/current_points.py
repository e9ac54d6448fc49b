# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The current points: what the continuous queries say about each camera's newest frame, one message per frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from molmo_msgs.msg import ObjectPointArray

from molmo_ros.node.messages.merged_points import merged_points
from molmo_ros.node.messages.outputs import Outputs
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.records.query import Query
from molmo_ros.node.records.query_names import query_names
from molmo_ros.node.records.view import View

Answered = tuple[Outcome, ObjectPointArray]
"""An answer and its record."""


@dataclass
class _Round:
    """A frame that the queries are being asked about.

    Attributes:
        about: Identifies the frame.
        picture: Returns it, uint8 [h, w, 3] RGB.
        answers: Those so far, by what was written.
    """

    about: object
    picture: Callable[[], np.ndarray]
    answers: dict[str, Answered] = field(default_factory=dict)


class CurrentPoints:
    """Merges what continuous queries say about a frame, and publishes it: once for each camera and frame.

    The topics of a single query (`~/NAME/point`, and `~/point`, which follows the first query at its first camera) get
    its points at once; what is about all queries waits until all have their answers about the frame, or will get none.
    For one thread, except for `tracked`.

    Args:
        outputs: The publishers.
        show: Publishes what comes once the objects at the points were looked for.
        queries: Returns the continuous queries.
        cameras: The cameras' names, the first one first.
    """

    def __init__(
        self,
        outputs: Outputs,
        show: Callable[[ObjectPointArray, View], None],
        queries: Callable[[], tuple[Query, ...]],
        cameras: Sequence[str],
    ) -> None:
        self._outputs, self._show = outputs, show
        self._queries, self._cameras = queries, list(cameras)
        self._rounds: dict[str, _Round] = {}

    def add(
        self, outcome: Outcome, array: ObjectPointArray, about: object, picture: Callable[[], np.ndarray]
    ) -> None:
        """An answer to a continuous query.

        Args:
            outcome: The answer.
            array: Its record.
            about: Identifies the frame, which all answers about it share.
            picture: Returns it, uint8 [h, w, 3] RGB.
        """
        camera = outcome.camera
        if camera in self._rounds and self._rounds[camera].about is not about:
            self.end(camera)
        known = self._rounds.setdefault(camera, _Round(about, picture))
        known.answers[array.query] = outcome, array
        self._publish_alone(outcome, array)
        if all(query.written in known.answers for query in self._about(camera)):
            self.end(camera)

    def end(self, camera: str) -> None:
        """No more is coming about the camera's frame: publish what there is."""
        known = self._rounds.pop(camera, None)
        if known is not None:
            self._publish(camera, known.answers, known.picture)

    def tracked(self, answers: Sequence[Answered], picture: Callable[[], np.ndarray]) -> None:
        """All that is known of one frame of a camera, points tracked into it.

        Args:
            answers: Those to the queries that have been answered.
            picture: Returns the frame, uint8 [h, w, 3] RGB.
        """
        for outcome, array in answers:
            self._publish_alone(outcome, array)
        self._publish(answers[0][0].camera, {one[1].query: one for one in answers}, picture)

    def clear(self) -> None:
        """Forget the frames that are being asked about."""
        self._rounds.clear()

    def publish_one(
        self, outcome: Outcome, array: ObjectPointArray, picture: Callable[[], np.ndarray]
    ) -> None:
        """The answer to a query that was asked once, where there are no continuous ones."""
        query = outcome.request.query
        self._outputs.publish_point(array, outcome.viewpoint, outcome.surroundings)
        self._publish_all(merged_points([query], {}, {array.query: array}), [(outcome, array)], picture)

    def _about(self, camera: str) -> list[Query]:
        return [query for query in self._queries() if query.camera in ("", camera)]

    def _publish(
        self, camera: str, answers: Mapping[str, Answered], picture: Callable[[], np.ndarray]
    ) -> None:
        queries = self._about(camera)
        if any(query.written in answers for query in queries):
            arrays = {written: array for written, (_, array) in answers.items()}
            merged = merged_points(queries, query_names(self._queries()), arrays)
            self._publish_all(merged, answers.values(), picture)

    def _publish_all(
        self, array: ObjectPointArray, answers: Iterable[Answered], picture: Callable[[], np.ndarray]
    ) -> None:
        """What is about all queries: the points at once, their objects when they were looked for."""
        view = _view(array, [outcome for outcome, _ in answers], picture)
        self._outputs.publish_objects(array, view)
        self._show(array, view)

    def _publish_alone(self, outcome: Outcome, array: ObjectPointArray) -> None:
        """What is about one query alone."""
        queries = self._queries()
        if name := query_names(queries).get(array.query):
            self._outputs.publish_query(name, array, outcome.viewpoint)
        first = next((query for query in queries if query.points), None)
        if first is None or first.written != array.query:
            return
        if outcome.camera == (first.camera or self._cameras[0]):
            self._outputs.publish_point(array, outcome.viewpoint, outcome.surroundings)


def _view(array: ObjectPointArray, outcomes: Sequence[Outcome], picture: Callable[[], np.ndarray]) -> View:
    """The frame that outcomes are about, with its depth as the one read it whose places are the array's."""
    message = next((one.message for one in outcomes if one.message is not None), None)
    read = [one.surroundings for one in outcomes if one.surroundings is not None]
    same = [one for one in read if one.frame_id == array.frame_id]
    return View(picture, message, next(iter(same or read), None))
