"""A camera whose topics come from a bag instead of the middleware."""

from __future__ import annotations

from collections import deque
from typing import Any

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from molmo_ros.bag.camera_topics import COMPRESSED, CameraTopics
from molmo_ros.bag.recorded_bag import RecordedMessage
from molmo_ros.node.camera_input import CameraInput
from molmo_ros.node.depth_sync import DepthSync
from molmo_ros.node.frame import Frame, stamp_ns


class RecordedCamera(CameraInput):
    """Fed in the order of the recording, and shown one frame at a time.

    Args:
        name: Name of the camera.
        topics: Its topics.
        buffered: How many depth images and calibrations are kept around the frame that is shown.
    """

    def __init__(self, name: str, topics: CameraTopics, buffered: int) -> None:
        super().__init__(name, "", lambda *_: None)
        self.topic = topics.image
        self.depths = DepthSync(buffered)
        self._topics = topics
        self._infos: deque[CameraInfo] = deque(maxlen=buffered)

    def put(self, message: RecordedMessage) -> None:
        """Keep a depth image or a calibration.

        Raises:
            RuntimeError: It cannot be deserialised.
        """
        if message.connection.topic == self._topics.depth:
            depth = image_of(message)
            self.depths.put(stamp_ns(depth.header), depth)
        else:
            self._infos.append(deserialize_message(message.data, CameraInfo))

    def show(self, message: RecordedMessage) -> Frame:
        """Make a picture the newest, with the calibration whose stamp is nearest.

        Raises:
            RuntimeError: It cannot be deserialised.
        """
        self.frames.clear()
        frame = Frame(image_of(message))
        self.frames.put(frame)
        self.info = min(self._infos, key=lambda info: abs(stamp_ns(info.header) - frame.stamp), default=None)
        return frame


def image_of(message: RecordedMessage) -> Any:
    """The Image or CompressedImage in a recorded message."""
    kind = CompressedImage if message.connection.msgtype == COMPRESSED else Image
    return deserialize_message(message.data, kind)
