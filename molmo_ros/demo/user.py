# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The demo's own ROS node: chooses the scene, asks, listens, and hands what it hears to the recording."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped, PoseArray
from molmo_msgs.action import Query
from molmo_msgs.msg import ObjectPointArray
from molmo_msgs.srv import Point
from rcl_interfaces.srv import SetParameters
from rclpy.action import ActionClient
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from molmo_ros.demo.plan import PlannedQuery
from molmo_ros.demo.spin_thread import SpinThread
from molmo_ros.node.records.frame import stamp_ns
from molmo_ros.sim.sim_camera import WORLD_FRAME

CAMERA, NODE = "/molmo_sim_camera", "/molmo_node"
RECORDED_EVERY = 1.0
"""Least time between recorded camera frames [s]; every message that is not a frame is recorded."""
LISTENED_TO = {
    "result": ObjectPointArray,
    "objects": ObjectPointArray,
    "answer": String,
    "point": PointStamped,
    "points": PoseArray,
    "pixels": PoseArray,
    "markers": MarkerArray,
    "annotated": Image,
    "annotated/compressed": CompressedImage,
}
"""The node's topics."""


Record = Callable[[str, Any, int], None]


@dataclass(frozen=True)
class FeedbackPiece:
    """What the action said of an answer that was not complete yet.

    Attributes:
        seconds: When, after the goal was sent.
        points: How many points were complete.
    """

    seconds: float
    points: int


class User:
    """Talks to the camera and to the Molmo node; its callbacks run in a thread of their own.

    Args:
        record: Called for each message with topic, message and time of receipt [ns].
    """

    def __init__(self, record: Record):
        self._record = record
        self._changed = threading.Condition()
        self._frame_stamps: deque[int] = deque(maxlen=2)
        self._pictures: deque[Image] = deque(maxlen=4)
        self._results: list[ObjectPointArray] = []
        self._pieces: list[FeedbackPiece] = []
        self._asked = ""
        self._asked_at = 0.0
        self._goal: Any = None
        self._recorded: dict[str, float] = {}
        rclpy.init()
        self._node = rclpy.create_node("molmo_demo_user")
        self._queries = self._node.create_publisher(String, "query", 10)
        self._point_at = self._node.create_client(Point, f"{NODE}/point_at")
        self._query = ActionClient(self._node, Query, f"{NODE}/query")
        self._set_parameters = self._node.create_client(SetParameters, f"{CAMERA}/set_parameters")
        reliable = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
        for kind, topic in ((Image, "image"), (Image, "depth"), (CameraInfo, "camera_info")):
            self._listen(kind, f"/{topic}", qos_profile_sensor_data)
        for topic, kind in LISTENED_TO.items():
            self._listen(kind, f"{NODE}/{topic}", reliable)
        self._listen(DiagnosticArray, "/diagnostics", reliable)
        latched = QoSProfile(depth=20, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._listen(TFMessage, "/tf_static", latched)
        self._spinning = SpinThread(self._node)

    def close(self) -> None:
        self._spinning.close()

    def frames_seen(self) -> int:
        """How many frames came, 2 at most."""
        return len(self._frame_stamps)

    def node_listens(self) -> bool:
        """Whether the Molmo node is there with both ends of every conversation."""
        return (
            self._queries.get_subscription_count() > 0
            and self._node.count_publishers(f"{NODE}/result") > 0
            and self._point_at.service_is_ready()
            and self._query.server_is_ready()
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
                lambda: sum(stamp > switched for stamp in self._frame_stamps) >= 2,
                deadline - time.monotonic(),
            )
        if not fresh:
            raise TimeoutError(f"the camera shows no frame of scene {seed}")

    def ask(self, text: str) -> None:
        """Sends a query on the topic; what was answered before is forgotten."""
        message = String(data=text)
        with self._changed:
            self._begin(text)
            self._record("/query", message, time.time_ns())
            self._queries.publish(message)

    def ask_case(self, case: PlannedQuery) -> None:
        """Asks a query of the plan in the way that it says."""
        if case.way == "topic":
            self.ask(case.text)
            return
        with self._changed:
            self._begin(case.text)
            if case.way == "service":
                request = Point.Request(labels=case.labels, target_frame=WORLD_FRAME)
                self._point_at.call_async(request).add_done_callback(self._on_result)
            else:
                goal = Query.Goal(prompt=case.text)
                self._query.send_goal_async(goal, self._on_feedback).add_done_callback(self._on_goal)

    def answered(self) -> bool:
        return bool(self._results)

    def result(self, timeout: float) -> ObjectPointArray | None:
        """Waits for the result of the last query; None where none came in time [s]."""
        with self._changed:
            self._changed.wait_for(self.answered, timeout)
            return self._results[0] if self._results else None

    def pieces(self) -> list[FeedbackPiece]:
        """What the action has said while the last query was answered."""
        return list(self._pieces)

    def picture(self, result: ObjectPointArray, timeout: float) -> np.ndarray | None:
        """uint8 [h, w, 3] RGB, the node's picture of a result; None where none came in time [s]."""
        with self._changed:
            drawn: list[Image] = []

            def came() -> bool:
                drawn[:] = [one for one in self._pictures if one.header == result.header]
                return bool(drawn)

            if not self._changed.wait_for(came, timeout):
                return None
            return np.frombuffer(drawn[0].data, np.uint8).reshape(drawn[0].height, drawn[0].width, 3)

    def _begin(self, text: str) -> None:
        self._results.clear()
        self._pieces.clear()
        self._pictures.clear()
        self._asked, self._asked_at = text, time.monotonic()

    def _on_goal(self, future: Any) -> None:
        self._goal = future.result()  # feedback ends when nobody holds the handle
        self._goal.get_result_async().add_done_callback(self._on_goal_result)

    def _on_goal_result(self, future: Any) -> None:
        self._keep(future.result().result.result)

    def _on_result(self, future: Any) -> None:
        self._keep(future.result().result)

    def _on_feedback(self, message: Any) -> None:
        with self._changed:
            elapsed = time.monotonic() - self._asked_at
            self._pieces.append(FeedbackPiece(elapsed, len(message.feedback.points)))

    def _keep(self, result: ObjectPointArray) -> None:
        with self._changed:
            if result.query == self._asked:  # not the late answer to a query that was given up
                self._results.append(result)
            self._changed.notify_all()

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
                self._frame_stamps.append(stamp_ns(message.header))
            elif topic == f"{NODE}/annotated":
                self._pictures.append(message)
            elif topic == f"{NODE}/result" and message.source == message.TOPIC:
                self._keep(message)
            self._changed.notify_all()
