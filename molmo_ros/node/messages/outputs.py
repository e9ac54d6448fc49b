"""What the node publishes: the full record, and the standard messages that consumers already read."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
from geometry_msgs.msg import PointStamped, PoseArray
from molmo_msgs.msg import ObjectPointArray
from rclpy.duration import Duration
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from molmo_ros.node.messages import annotated_image, detections, markers, point_messages
from molmo_ros.node.seams.node_log import NodeLog
from molmo_ros.node.seams.publishing import Publisher, Publishing

BURST = 1000
"""Results that the middleware holds, so that each of a burst is delivered."""
FLUSH = Duration(nanoseconds=500_000_000)
FAILURES_LOGGED = 5.0
"""How often messages that cannot be made are logged [s]."""


class Outputs:
    """The publishers. Each message but the full record is made only while someone listens to it.

    A derived message that cannot be made or sent is logged, and takes none of the others with it.

    Args:
        node: Creates the publishers.
        log: Where failures are logged.
        fatal: What means that nothing can be sent any more, and is raised.
    """

    def __init__(self, node: Publishing, log: NodeLog, fatal: tuple[type[Exception], ...] = ()) -> None:
        self._node, self._log, self._fatal = node, log, fatal
        self._result = node.create_publisher(ObjectPointArray, "~/result", BURST)
        self._objects = node.create_publisher(ObjectPointArray, "~/objects", 10)
        self._answer = node.create_publisher(String, "~/answer", 10)
        self._point = node.create_publisher(PointStamped, "~/point", 10)
        self._points = node.create_publisher(PoseArray, "~/points", 10)
        self._pixels = node.create_publisher(PoseArray, "~/pixels", 10)
        self._markers = node.create_publisher(MarkerArray, "~/markers", 10)
        self._image = node.create_publisher(Image, "~/annotated", 1)
        self._compressed = node.create_publisher(CompressedImage, "~/annotated/compressed", 1)
        self._of_query: dict[str, tuple[Publisher, Publisher]] = {}
        self._detections = []
        if types := detections.message_types():
            self._detections = [
                (node.create_publisher(types[0], "~/detections_2d", 10), detections.detections_2d_message),
                (node.create_publisher(types[1], "~/detections_3d", 10), detections.detections_3d_message),
            ]

    def publish_result(self, array: ObjectPointArray) -> None:
        """The outcome of a query."""
        self._result.publish(array)

    def publish_answer(self, text: str) -> None:
        """The model's words."""
        if text:
            self._tell(self._answer, lambda: String(data=text))

    def name_queries(self, names: Iterable[str]) -> None:
        """From now on there are these continuous queries: each has `~/NAME/point` and `~/NAME/points`."""
        wanted = set(names)
        for name in self._of_query.keys() - wanted:
            for publisher in self._of_query.pop(name):
                self._node.destroy_publisher(publisher)
        for name in sorted(wanted - self._of_query.keys()):
            self._of_query[name] = (
                self._node.create_publisher(PointStamped, f"~/{name}/point", 10),
                self._node.create_publisher(PoseArray, f"~/{name}/points", 10),
            )

    def publish_query(
        self, name: str, array: ObjectPointArray, viewpoint: tuple[float, float, float]
    ) -> None:
        """The points in metres of one continuous query, which has its own topics."""
        if name in self._of_query:
            point, points = self._of_query[name]
            self._tell_places(point, points, array, viewpoint)

    def publish_point(self, array: ObjectPointArray, viewpoint: tuple[float, float, float]) -> None:
        """The best point of the one query that `~/point` is about, where it has one."""
        if any(point.has_position for point in array.points):
            self._tell(self._point, lambda: point_messages.best_point_message(array, viewpoint))

    def publish_objects(
        self,
        array: ObjectPointArray,
        picture: Callable[[], np.ndarray] | None,
    ) -> None:
        """The current points of a camera: what all its queries say about one image.

        Readers of messages without a status take what is missing for gone. So these come only where all is known, empty
        where nothing is there; in metres only where what each query found has a place.

        Args:
            array: The points; see `merged_points`.
            picture: Returns the image they are about, uint8 [h, w, 3] RGB; called only if someone looks.
        """
        self._tell(self._objects, lambda: array)
        self._tell(self._markers, lambda: markers.markers_message(array))
        if array.complete or (array.points and len(array.queries) <= 1):
            self._tell(self._pixels, lambda: point_messages.pixels_message(array))
            self._tell_detections(0, array)
            if _placed(array):
                self._tell(self._points, lambda: point_messages.points_message(array))
                self._tell_detections(1, array)
        if picture is not None:
            self._tell_picture(picture, array)

    def flush(self) -> None:
        """Wait a moment for results that nobody has read yet; a process that ends at once takes them with it."""
        self._result.wait_for_all_acked(FLUSH)

    def _tell_places(
        self,
        point: Publisher,
        points: Publisher,
        array: ObjectPointArray,
        viewpoint: tuple[float, float, float],
    ) -> None:
        if any(one.has_position for one in array.points):
            self._tell(points, lambda: point_messages.points_message(array))
            self._tell(point, lambda: point_messages.best_point_message(array, viewpoint))
        elif array.status == ObjectPointArray.NOT_FOUND:
            self._tell(points, lambda: point_messages.points_message(array))

    def _tell_detections(self, which: int, array: ObjectPointArray) -> None:
        """In the picture (0) or in space (1), where vision_msgs is installed."""
        if self._detections:
            publisher, convert = self._detections[which]
            self._tell(publisher, lambda: convert(array))

    def _tell_picture(self, picture: Callable[[], np.ndarray], array: ObjectPointArray) -> None:
        """Draws once, and only if one of the two is wanted."""
        drawn = cache(lambda: annotated_image.annotated(picture(), array))
        self._tell(self._image, lambda: annotated_image.image_message(drawn(), array.header))
        self._tell(self._compressed, lambda: annotated_image.compressed_message(drawn(), array.header))

    def _tell(self, publisher: Publisher, message: Callable[[], object]) -> None:
        if not self._heard(publisher):
            return
        try:
            publisher.publish(message())
        except self._fatal:
            raise
        except Exception as error:
            self._log.error(
                f"{publisher.topic_name} is left out: {error}\n{traceback.format_exc()}",
                throttle_duration_sec=FAILURES_LOGGED,
            )

    @staticmethod
    def _heard(publisher: Publisher) -> bool:
        return publisher.get_subscription_count() > 0


def _placed(array: ObjectPointArray) -> bool:
    """Whether everything that was found is also known in metres, or nothing was found."""
    without = (ObjectPointArray.NO_DEPTH, ObjectPointArray.NO_TRANSFORM)
    if any(state.status in without for state in array.queries):
        return False
    return not array.points or any(point.has_position for point in array.points)
