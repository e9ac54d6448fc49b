"""What the node publishes: the full record, and the standard messages that consumers already read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped, PoseArray
from molmo_msgs.msg import ObjectPointArray
from rclpy.duration import Duration
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from molmo_ros.node.messages import annotated_image, detections, markers, point_messages

BURST = 1000
"""Results that the middleware holds, so that each of a burst is delivered."""
FLUSH = Duration(nanoseconds=500_000_000)


class Outputs:
    """The publishers. Each message but the full record is made only while someone listens to it."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._result = node.create_publisher(ObjectPointArray, "~/result", BURST)
        self._objects = node.create_publisher(ObjectPointArray, "~/objects", 10)
        self._answer = node.create_publisher(String, "~/answer", 10)
        self._point = node.create_publisher(PointStamped, "~/point", 10)
        self._points = node.create_publisher(PoseArray, "~/points", 10)
        self._pixels = node.create_publisher(PoseArray, "~/pixels", 10)
        self._markers = node.create_publisher(MarkerArray, "~/markers", 10)
        self._image = node.create_publisher(Image, "~/annotated", 1)
        self._compressed = node.create_publisher(CompressedImage, "~/annotated/compressed", 1)
        self._detections = []
        if types := detections.message_types():
            self._detections = [
                (node.create_publisher(types[0], "~/detections_2d", 10), detections.detections_2d_message),
                (node.create_publisher(types[1], "~/detections_3d", 10), detections.detections_3d_message),
            ]

    def publish_result(self, array: ObjectPointArray) -> None:
        """The outcome of a query."""
        self._result.publish(array)
        if array.text:
            self._tell(self._answer, lambda: String(data=array.text))

    def publish_objects(
        self,
        array: ObjectPointArray,
        picture: Callable[[], np.ndarray] | None,
        viewpoint: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        """The current points of a camera.

        Args:
            array: The points.
            picture: Returns the image they are about, uint8 [h, w, 3] RGB; called only if someone looks.
            viewpoint: The camera's optical centre in the array's frame [m].
        """
        self._tell(self._objects, lambda: array)
        self._tell(self._markers, lambda: markers.markers_message(array))
        for publisher, convert in self._detections:
            self._tell(publisher, partial(convert, array))
        if array.points:
            self._tell(self._pixels, lambda: point_messages.pixels_message(array))
            if any(point.has_position for point in array.points):
                self._tell(self._points, lambda: point_messages.points_message(array))
                self._tell(self._point, lambda: point_messages.best_point_message(array, viewpoint))
        if picture is not None and (self._heard(self._image) or self._heard(self._compressed)):
            drawn = annotated_image.annotated(picture(), array)
            self._tell(self._image, lambda: annotated_image.image_message(drawn, array.header))
            self._tell(self._compressed, lambda: annotated_image.compressed_message(drawn, array.header))

    def flush(self) -> None:
        """Wait a moment for results that nobody has read yet; a process that ends at once takes them with it."""
        self._result.wait_for_all_acked(FLUSH)

    def _tell(self, publisher: Any, message: Callable[[], Any]) -> None:
        if self._heard(publisher):
            publisher.publish(message())

    @staticmethod
    def _heard(publisher: Any) -> bool:
        return publisher.get_subscription_count() > 0
