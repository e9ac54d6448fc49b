# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A camera whose topics come from a bag instead of the middleware."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Any

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from molmo_ros.bag.camera_topics import CLOUD, COMPRESSED, CameraTopics
from molmo_ros.bag.recorded_bag import RecordedMessage
from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.records.frame import Frame, stamp_ns

RECTIFIED = re.compile(r"(?:(?<![A-Za-z])[Rr]ect|(?<=[a-z])Rect)(?:ified)?(?![a-z])")
"""In a topic's name: `image_rect`, `image_rect_color`, `rectified/image`, `imageRect`; not `direct`."""


class RecordedCamera(CameraInput):
    """Fed in the order of the recording, and shown one picture at a time.

    Args:
        name: Name of the camera.
        topics: Its topics.
        span: How long depth images and calibrations are kept, in the time of the recording [ns].
    """

    def __init__(self, name: str, topics: CameraTopics, span: int) -> None:
        super().__init__(name, "", lambda *_: None)
        self.topic = topics.image
        self._topics, self._span = topics, span
        self._depths: deque[tuple[int, Any]] = deque()  # log time, message
        self._infos: deque[tuple[int, Any]] = deque()
        self._depth_infos: deque[tuple[int, Any]] = deque()

    def put(self, message: RecordedMessage) -> None:
        """Keep a depth image, a cloud or a calibration.

        Raises:
            Exception: Whatever a message that cannot be deserialised leads to.
        """
        if message.connection.topic == self._topics.depth:
            kept, read = self._depths, image_of(message)
        elif message.connection.topic == self._topics.depth_info:
            kept, read = self._depth_infos, deserialize_message(message.data, CameraInfo)
        else:
            kept, read = self._infos, deserialize_message(message.data, CameraInfo)
        kept.append((message.time, read))
        # The last one stays: a calibration may be published once.
        while len(kept) > 1 and kept[0][0] < message.time - self._span:
            kept.popleft()

    def seems_rectified(self) -> bool:
        """Whether the topic's name says so, and the newest calibration has a distortion."""
        return bool(RECTIFIED.search(self.topic) and self._infos and any(self._infos[-1][1].d))

    def show(self, message: RecordedMessage) -> Frame:
        """Make a picture the newest, with the depth and the calibration whose stamps are nearest to its own.

        Raises:
            Exception: Whatever a message that cannot be deserialised leads to.
        """
        self.clear()
        frame = Frame(image_of(message))
        self.frames.put(frame)
        if (depth := _nearest(self._depths, frame.stamp, message.time)) is not None:
            self.depths.put(depth)
        self.info = _nearest(self._infos, frame.stamp, message.time)
        self.depth_info = _nearest(self._depth_infos, frame.stamp, message.time)
        return frame


def _nearest(kept: Iterable[tuple[int, Any]], stamp: int, time: int) -> Any:
    """The message whose stamp is nearest to one [ns], of equal ones the one recorded nearest to a time [ns]; None
    where there is none."""

    def apart(one: tuple[int, Any]) -> tuple[int, int]:
        return abs(stamp_ns(one[1].header) - stamp), abs(one[0] - time)

    return min(kept, key=apart, default=(0, None))[1]


def image_of(message: RecordedMessage) -> Any:
    """The Image, CompressedImage or PointCloud2 in a recorded message."""
    kinds = {COMPRESSED: CompressedImage, CLOUD: PointCloud2}
    return deserialize_message(message.data, kinds.get(message.connection.msgtype, Image))
