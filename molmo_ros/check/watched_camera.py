# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A camera as the node listens to it, that remembers what came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, PointCloud2

from molmo_ros.check.topic_record import TopicRecord
from molmo_ros.node.cameras.camera_input import CameraInput, Transport
from molmo_ros.node.cameras.topic_silence import silence
from molmo_ros.node.records.frame import stamp_ns

if TYPE_CHECKING:
    from molmo_ros.node.records.frame import DepthMessage, PictureMessage


class WatchedCamera(CameraInput):
    """The node's own input, whose callbacks count.

    Args:
        name: Name of the camera.
        prefix: What its topics begin with.

    Attributes:
        records: What came, by the name of the input: `image`, `depth`, `camera_info`, `depth/camera_info`.
        names: The topics, by the same; of those that are listened to.
        jumps: Backward jumps of the clock while it listened.
    """

    def __init__(self, name: str, prefix: str) -> None:
        super().__init__(name, prefix, lambda *_: None)
        inputs = ("image", "depth", "camera_info", "depth/camera_info")
        self.records = {one: TopicRecord() for one in inputs}
        self.names: dict[str, str] = {}
        self.jumps = 0
        self._node: Node | None = None

    def subscribe(self, node: Node, transport: Transport) -> None:
        """Listen as the node does."""
        self._node = node
        super().subscribe(node, transport)
        prefix = self._prefix
        own = {"image": f"{prefix}image", "camera_info": f"{prefix}camera_info"}
        if transport.image != "raw":
            own["image"] += f"/{transport.image}"
        if transport.depth == "points":
            own["depth"] = f"{prefix}points"
        elif transport.depth:
            own["depth"] = f"{prefix}depth" + ("" if transport.depth == "raw" else f"/{transport.depth}")
            own["depth/camera_info"] = f"{prefix}depth/camera_info"
        else:
            del own["camera_info"]
        self.names = {one: node.resolve_topic_name(name) for one, name in own.items()}

    def why_silent(self, name: str) -> str:
        """Why nothing comes on one of its topics, in the node's words."""
        assert self._node is not None
        for subscription in self._subscriptions:
            if subscription.topic_name == self.names.get(name):
                return silence(self._node, subscription)
        return "nobody listens to it"

    def publishers(self, name: str) -> list[tuple[str, bool]]:
        """Who publishes one of its topics, and whether reliably."""
        assert self._node is not None
        return [
            (
                f"{one.node_namespace.rstrip('/')}/{one.node_name}",
                one.qos_profile.reliability == ReliabilityPolicy.RELIABLE,
            )
            for one in self._node.get_publishers_info_by_topic(self.names[name])
        ]

    def jumped(self, by: int) -> None:
        """As the node does it; counts."""
        self.jumps += by > 0
        super().jumped(by)

    def on_image(self, message: PictureMessage) -> None:
        """A picture has come."""
        self._record("image", message)
        super().on_image(message)

    def on_depth(self, message: DepthMessage) -> None:
        """A depth image or a cloud has come."""
        self._record("depth", message)
        super().on_depth(message)

    def on_info(self, message: CameraInfo) -> None:
        """A calibration has come."""
        self._record("camera_info", message)
        super().on_info(message)

    def on_depth_info(self, message: CameraInfo) -> None:
        """Depth's own calibration has come."""
        self._record("depth/camera_info", message)
        super().on_depth_info(message)

    def _record(self, name: str, message: DepthMessage | CameraInfo) -> None:
        self.records[name].add(stamp_ns(message.header), message.header.frame_id, _kind(message))


def _kind(message: DepthMessage | CameraInfo) -> str:
    """Size and encoding, for people."""
    if isinstance(message, PointCloud2):
        return f"a cloud of {message.width * message.height} points"
    size = f"{message.width}x{message.height} " if hasattr(message, "width") else ""
    what = getattr(message, "encoding", None) or getattr(message, "format", None)
    return f"{size}{what or ''}".strip()
