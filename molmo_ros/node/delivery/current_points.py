"""The current points: what the continuous queries say about each camera's newest frame, one message per frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from molmo_msgs.msg import ObjectPointArray

from molmo_ros.node.messages.merged_points import merged_points
from molmo_ros.node.messages.outputs import Outputs
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.records.query import Query
from molmo_ros.node.records.query_names import query_names

Picture = Callable[[], np.ndarray]
"""Returns the image that points are about, uint8 [h, w, 3] RGB."""


@dataclass
class _Round:
    """A frame that the queries are being asked about.

    Attributes:
        about: Identifies the frame.
        arrays: The records so far, by what was written.
    """

    about: object
    picture: Picture
    arrays: dict[str, ObjectPointArray] = field(default_factory=dict)


class CurrentPoints:
    """Merges what continuous queries say about a frame, and publishes it: once for each camera and frame.

    The topics of a single query (`~/NAME/point`, and `~/point`, which follows the first query at its first camera) get
    its points at once; what is about all queries waits until all have their answers about the frame, or will get none.
    For one thread, except for `tracked`.

    Args:
        outputs: The publishers.
        queries: Returns the continuous queries.
        cameras: The cameras' names, the first one first.
    """

    def __init__(
        self, outputs: Outputs, queries: Callable[[], tuple[Query, ...]], cameras: Sequence[str]
    ) -> None:
        self._outputs, self._queries, self._cameras = outputs, queries, list(cameras)
        self._rounds: dict[str, _Round] = {}

    def add(self, outcome: Outcome, array: ObjectPointArray, about: object, picture: Picture) -> None:
        """An answer to a continuous query.

        Args:
            outcome: The answer.
            array: Its record.
            about: Identifies the frame, which all answers about it share.
            picture: See `Picture`.
        """
        camera = outcome.camera
        if camera in self._rounds and self._rounds[camera].about is not about:
            self.end(camera)
        known = self._rounds.setdefault(camera, _Round(about, picture))
        known.arrays[array.query] = array
        self._publish_alone(outcome, array)
        if all(query.written in known.arrays for query in self._about(camera)):
            self.end(camera)

    def end(self, camera: str) -> None:
        """No more is coming about the camera's frame: publish what there is."""
        known = self._rounds.pop(camera, None)
        if known is not None:
            self._publish(camera, known.arrays, known.picture)

    def tracked(self, outcomes: Sequence[tuple[Outcome, ObjectPointArray]], picture: Picture) -> None:
        """All that is known of one frame of a camera, points tracked into it.

        Args:
            outcomes: Of the queries that have been answered, with their records.
            picture: See `Picture`.
        """
        for outcome, array in outcomes:
            self._publish_alone(outcome, array)
        self._publish(outcomes[0][0].camera, {array.query: array for _, array in outcomes}, picture)

    def clear(self) -> None:
        """Forget the frames that are being asked about."""
        self._rounds.clear()

    def publish_one(self, outcome: Outcome, array: ObjectPointArray, picture: Picture) -> None:
        """The answer to a query that was asked once, where there are no continuous ones."""
        query = outcome.request.query
        self._outputs.publish_objects(merged_points([query], {}, {array.query: array}), picture)
        self._outputs.publish_point(array, outcome.viewpoint)

    def _about(self, camera: str) -> list[Query]:
        return [query for query in self._queries() if query.camera in ("", camera)]

    def _publish(self, camera: str, arrays: Mapping[str, ObjectPointArray], picture: Picture) -> None:
        queries = self._about(camera)
        if any(query.written in arrays for query in queries):
            self._outputs.publish_objects(
                merged_points(queries, query_names(self._queries()), arrays), picture
            )

    def _publish_alone(self, outcome: Outcome, array: ObjectPointArray) -> None:
        """What is about one query alone."""
        queries = self._queries()
        if name := query_names(queries).get(array.query):
            self._outputs.publish_query(name, array, outcome.viewpoint)
        first = next((query for query in queries if query.points), None)
        if first is None or first.written != array.query:
            return
        if outcome.camera == (first.camera or self._cameras[0]):
            self._outputs.publish_point(array, outcome.viewpoint)
