# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the node publishes at once: the full record, and the points as standard messages that consumers already read."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from geometry_msgs.msg import Point, PointStamped, PoseArray, PoseStamped
from molmo_msgs.msg import ObjectPointArray
from rclpy.duration import Duration
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String

from molmo_ros.node.messages import answered_frame, point_messages
from molmo_ros.node.messages.heard_publisher import HeardPublisher
from molmo_ros.node.messages.merged_points import known_in_metres, known_in_pixels
from molmo_ros.node.records.surroundings import Surroundings
from molmo_ros.node.records.view import View
from molmo_ros.node.seams.node_log import NodeLog
from molmo_ros.node.seams.publishing import Publishing

BURST = 1000
"""Results that the middleware holds, so that each of a burst is delivered."""
FLUSH = Duration(nanoseconds=500_000_000)


class Outputs:
    """The publishers of what is known as soon as there is an answer. Each message but the full record is made only
    while someone listens to it.

    A derived message that cannot be made or sent is logged, and takes none of the others with it.

    Args:
        node: Creates the publishers.
        log: Where failures are logged.
        fatal: What means that nothing can be sent any more, and is raised.
    """

    def __init__(self, node: Publishing, log: NodeLog, fatal: tuple[type[Exception], ...] = ()) -> None:
        self._result = node.create_publisher(ObjectPointArray, "~/result", BURST)
        self._heard = partial(HeardPublisher, node, log=log, fatal=fatal)
        self._objects = self._heard(ObjectPointArray, "~/objects", 10)
        self._answer = self._heard(String, "~/answer", 10)
        self._point = self._heard(PointStamped, "~/point", 10)
        self._pose = self._heard(PoseStamped, "~/pose", 10)
        self._pixel = self._heard(Point, "~/pixel", 10)
        self._points = self._heard(PoseArray, "~/points", 10)
        self._pixels = self._heard(PoseArray, "~/pixels", 10)
        self._answered_image = self._heard(Image, "~/answered/image", 5)
        self._answered_depth = self._heard(Image, "~/answered/depth", 5)
        self._answered_info = self._heard(CameraInfo, "~/answered/camera_info", 5)
        self._of_query: dict[str, tuple[HeardPublisher, HeardPublisher]] = {}

    def publish_result(self, array: ObjectPointArray) -> None:
        """The outcome of a query."""
        self._result.publish(array)

    def publish_answer(self, text: str) -> None:
        """The model's words."""
        if text:
            self._answer.tell(lambda: String(data=text))

    def name_queries(self, names: Iterable[str]) -> None:
        """From now on there are these continuous queries: each has `~/NAME/point` and `~/NAME/points`."""
        wanted = set(names)
        for name in self._of_query.keys() - wanted:
            for publisher in self._of_query.pop(name):
                publisher.close()
        for name in sorted(wanted - self._of_query.keys()):
            self._of_query[name] = (
                self._heard(PointStamped, f"~/{name}/point", 10),
                self._heard(PoseArray, f"~/{name}/points", 10),
            )

    def publish_query(
        self, name: str, array: ObjectPointArray, viewpoint: tuple[float, float, float]
    ) -> None:
        """The points in metres of one continuous query, which has its own topics."""
        if name not in self._of_query:
            return
        point, points = self._of_query[name]
        if any(one.has_position for one in array.points):
            points.tell(lambda: point_messages.points_message(array))
            point.tell(lambda: point_messages.best_point_message(array, viewpoint))
        elif array.status == ObjectPointArray.NOT_FOUND:
            points.tell(lambda: point_messages.points_message(array))

    def publish_point(
        self,
        array: ObjectPointArray,
        viewpoint: tuple[float, float, float],
        surroundings: Surroundings | None = None,
    ) -> None:
        """The best point of the one query that `~/point`, `~/pose` and `~/pixel` are about, where it has one.

        Args:
            array: The query's points.
            viewpoint: The camera's optical centre in the frame of their places [m].
            surroundings: What its normal is read from, where the points have none.
        """
        if (best := point_messages.best_point(array, viewpoint)) is None:
            return
        self._pixel.tell(lambda: best.pixel)
        if best.has_position:
            self._point.tell(lambda: point_messages.best_point_message(array, viewpoint))
            self._pose.tell(lambda: point_messages.pose_message(array, best, surroundings))

    def publish_objects(self, array: ObjectPointArray, view: View) -> None:
        """The current points of a camera: what all its queries say about one image.

        Readers of messages without a status take what is missing for gone. So these come only where all is known, empty
        where nothing is there; in metres only where what each query found has a place.

        Args:
            array: The points; see `merged_points`.
            view: The image they are about.
        """
        self._objects.tell(lambda: array)
        if known_in_pixels(array):
            self._pixels.tell(lambda: point_messages.pixels_message(array))
        if known_in_metres(array):
            self._points.tell(lambda: point_messages.points_message(array))
        self._publish_frame(array, view)

    def flush(self) -> None:
        """Wait a moment for results that nobody has read yet; a process that ends at once takes them with it."""
        self._result.wait_for_all_acked(FLUSH)

    def _publish_frame(self, array: ObjectPointArray, view: View) -> None:
        """The image, and what gives its pixels their places."""
        header, surroundings = array.header, view.surroundings
        self._answered_image.tell(lambda: answered_frame.answered_image(view, header))
        if surroundings is not None:
            self._answered_depth.tell(lambda: answered_frame.answered_depth(surroundings, header))
            self._answered_info.tell(lambda: answered_frame.answered_camera_info(surroundings, header))
