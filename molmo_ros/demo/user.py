"""The demo's own ROS node: chooses the scene, asks, listens, and hands what it hears to the recording."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import PointStamped, PoseArray
from rcl_interfaces.srv import SetParameters
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String

CAMERA, NODE = "/molmo_sim_camera", "/molmo_node"
KEPT_FRAMES = 60
RECORDED_EVERY = 1.0
"""Least time between recorded camera frames [s]; every message that is not a frame is recorded."""

Record = Callable[[str, Any, int], None]


class User:
    """Talks to the camera and to the Molmo node; its callbacks run in a thread of their own.

    Args:
        record: Called for each message with topic, message and time of receipt [ns].
    """

    def __init__(self, record: Record):
        self._record = record
        self._changed = threading.Condition()
        self._frames: deque[Image] = deque(maxlen=KEPT_FRAMES)
        self._results: list[dict[str, Any]] = []
        self._asked = ""
        self._recorded: dict[str, float] = {}
        rclpy.init()
        self._node = rclpy.create_node("molmo_demo_user")
        self._queries = self._node.create_publisher(String, "query", 10)
        self._annotated = self._node.create_publisher(Image, "~/annotated", 1)
        self._set_parameters = self._node.create_client(SetParameters, f"{CAMERA}/set_parameters")
        reliable = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
        for kind, topic in ((Image, "image"), (Image, "depth"), (CameraInfo, "camera_info")):
            self._listen(kind, f"/{topic}", qos_profile_sensor_data)
        for kind, topics in (
            (String, ("answer", "result")),
            (PointStamped, ("point",)),
            (PoseArray, ("points", "pixels")),
        ):
            for topic in topics:
                self._listen(kind, f"{NODE}/{topic}", reliable)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="ros")
        self._thread.start()

    def close(self) -> None:
        rclpy.try_shutdown()
        self._thread.join()

    def frames_seen(self) -> int:
        return len(self._frames)

    def node_listens(self) -> bool:
        """Whether the Molmo node is there with both ends of a conversation."""
        return (
            self._queries.get_subscription_count() > 0 and self._node.count_publishers(f"{NODE}/result") > 0
        )

    def show_scene(self, seed: int, timeout: float) -> None:
        """Switches the camera's scene and waits for its second frame: by then the node has the first one too.

        Raises:
            TimeoutError: The camera did not follow.
        """
        deadline = time.monotonic() + timeout
        if not self._set_parameters.wait_for_service(timeout):
            raise TimeoutError("the camera offers no parameters")
        request = SetParameters.Request(parameters=[Parameter("seed", value=seed).to_parameter_msg()])
        done = threading.Event()
        self._set_parameters.call_async(request).add_done_callback(lambda _: done.set())
        if not done.wait(timeout):
            raise TimeoutError(f"the camera did not switch to scene {seed}")
        switched = self._node.get_clock().now().nanoseconds
        with self._changed:
            fresh = self._changed.wait_for(
                lambda: sum(stamp_ns(frame) > switched for frame in self._frames) >= 2,
                deadline - time.monotonic(),
            )
        if not fresh:
            raise TimeoutError(f"the camera shows no frame of scene {seed}")

    def ask(self, text: str) -> None:
        """Sends a query; what was answered before is forgotten."""
        message = String(data=text)
        with self._changed:
            self._results.clear()
            self._asked = text
            self._record("/query", message, time.time_ns())
            self._queries.publish(message)

    def answered(self) -> bool:
        return bool(self._results)

    def result(self, timeout: float) -> dict[str, Any] | None:
        """Waits for the result of the last query.

        Returns:
            The JSON object of `~/result`; None where none came in time.
        """
        with self._changed:
            self._changed.wait_for(self.answered, timeout)
            return self._results[0] if self._results else None

    def frame(self, stamp: int) -> np.ndarray | None:
        """uint8 [h, w, 3] RGB, the frame with that stamp [ns]; None where it is not kept, or was lost."""
        with self._changed:
            # The node may have got it, and answered, before we did.
            self._changed.wait_for(lambda: bool(self._frames) and stamp_ns(self._frames[-1]) >= stamp, 1.0)
            for message in self._frames:
                if stamp_ns(message) == stamp:
                    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        return None

    def publish_annotated(self, picture: np.ndarray, stamp: int) -> None:
        """Publishes and records an answer's picture, uint8 [h, w, 3] RGB, with its frame's stamp [ns]."""
        height, width = picture.shape[:2]
        message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
        message.data = np.ascontiguousarray(picture).tobytes()
        self._annotated.publish(message)
        with self._changed:  # the recording takes one message at a time
            self._record("/molmo_demo_user/annotated", message, time.time_ns())

    def _listen(self, kind: type, topic: str, qos: QoSProfile) -> None:
        self._node.create_subscription(kind, topic, lambda message: self._hear(topic, message), qos)

    def _hear(self, topic: str, message: Any) -> None:
        with self._changed:
            now = time.monotonic()
            camera = topic in ("/image", "/depth", "/camera_info")
            if not camera or now - self._recorded.get(topic, -1e9) >= RECORDED_EVERY:
                self._recorded[topic] = now
                self._record(topic, message, time.time_ns())
            if topic == "/image":
                self._frames.append(message)
            elif topic.endswith("/result"):
                result = json.loads(message.data)
                if result["query"] == self._asked:  # not the late answer to a query that was given up
                    self._results.append(result)
            self._changed.notify_all()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return


def stamp_ns(message: Any) -> int:
    """The header's stamp [ns]."""
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
