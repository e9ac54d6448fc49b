# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The judge's own ROS node: sets tables, tells the planner what to pick, listens in."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import rclpy
from geometry_msgs.msg import PointStamped, PoseStamped
from molmo_msgs.msg import GraspArray, ObjectPointArray
from molmo_msgs.srv import Point
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from molmo_ros.demo.spin_thread import SpinThread
from molmo_ros.pick.hand_interface import FINGERS_SET, MOVED
from molmo_ros.pick.planner import PickOutcome

TABLE, NODE, PLANNER = "/molmo_pick_table", "/molmo_node", "/molmo_pick_planner"
HEARD_OF_NODE = {
    "result": ObjectPointArray,
    "object_regions": ObjectPointArray,
    "regions": Image,
    "point": PointStamped,
    "markers": MarkerArray,
    "annotated": Image,
}
HEARD_OF_PLANNER = {"pick": String, "answer": ObjectPointArray, "grasps": GraspArray, "outcome": String}

Record = Callable[[str, Any, int], None]
R = TypeVar("R")


@dataclass(frozen=True)
class HeardPick:
    """What was heard of one pick.

    Attributes:
        outcome: What the planner says; None where it said nothing in time.
        answer: What the node told it; None where it told nothing.
        grasps: The grasps that came with it.
        film: Pictures of the hand, uint8 RGB.
    """

    outcome: PickOutcome | None
    answer: ObjectPointArray | None
    grasps: GraspArray | None
    film: list[np.ndarray]


@dataclass(frozen=True)
class ShownAnswer:
    """What the node shows of an answer.

    Attributes:
        labels: uint16 [h, w], the number of the point, from 1, whose region a pixel is of; else 0.
        picture: uint8 [h, w, 3] RGB, what the node drew.
    """

    labels: np.ndarray
    picture: np.ndarray


class Referee:
    """Talks to the table and to the planner; its callbacks run in a thread of their own.

    Args:
        record: Called for each message with topic, message and time of receipt [ns].
    """

    def __init__(self, record: Record):
        self._record = record
        self._changed = threading.Condition()
        self._frame_stamps: deque[int] = deque(maxlen=2)
        self._frames_to_record = 0
        self._messages: dict[str, list[Any]] = {}
        rclpy.init()
        self._node = rclpy.create_node("molmo_pick_referee")
        reliable = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        self._queries = self._node.create_publisher(String, "query", reliable)
        self._warm_up: Any = None
        self._pick = self._node.create_publisher(String, f"{PLANNER}/pick", reliable)
        self._set_parameters = self._node.create_client(SetParameters, f"{TABLE}/set_parameters")
        self._point_at = self._node.create_client(Point, f"{NODE}/point_at")
        self._hold = self._node.create_client(Trigger, f"{TABLE}/hold")
        for topic, kind in (("/image", Image), ("/depth", Image), ("/camera_info", CameraInfo)):
            self._listen(kind, topic, qos_profile_sensor_data)
        for topic, kind in HEARD_OF_NODE.items():
            self._listen(kind, f"{NODE}/{topic}", reliable)
        for topic, kind in HEARD_OF_PLANNER.items():
            self._listen(kind, f"{PLANNER}/{topic}", reliable)
        self._listen(Image, "/film", reliable)
        self._listen(PoseStamped, f"/{MOVED}", reliable)
        self._listen(JointState, f"/{FINGERS_SET}", reliable)
        self._listen(TFMessage, "/tf", reliable)
        self._spinning = SpinThread(self._node)

    def close(self) -> None:
        self._spinning.close()

    def frames_seen(self) -> int:
        """How many pictures came, 2 at most."""
        return len(self._frame_stamps)

    def all_listen(self) -> bool:
        """Whether the planner is there, and the node with a model that has answered once."""
        return (
            self._pick.get_subscription_count() > 0
            and self._node.count_publishers(f"{PLANNER}/outcome") > 0
            and self._queries.get_subscription_count() > 0
            and self._node_answers()
        )

    def set_table(self, seed: int, film: bool, timeout: float) -> None:
        """Sets another table and waits for its second picture: by then the node has the first one, too.

        Raises:
            TimeoutError: The table did not follow.
        """
        parameters = [Parameter("seed", value=seed), Parameter("film", value=film)]
        request = SetParameters.Request(parameters=[one.to_parameter_msg() for one in parameters])
        self._call(self._set_parameters, request, timeout)
        switched = self._node.get_clock().now().nanoseconds
        with self._changed:
            self._frames_to_record = 3  # image, depth and calibration
            fresh = self._changed.wait_for(
                lambda: sum(stamp > switched for stamp in self._frame_stamps) >= 2, timeout
            )
        if not fresh:
            raise TimeoutError(f"the camera shows no picture of table {seed}")

    def look(self, name: str, timeout: float) -> ShownAnswer | None:
        """What the node shows of its answer to whoever watches; None where that did not come in time [s].

        The planner is told the same when it asks: the picture is the same until something moves.
        """
        with self._changed:
            self._messages.clear()
            self._queries.publish(String(data=name))

            def came() -> bool:
                return all(self._newest(f"{NODE}/{topic}") is not None for topic in ("regions", "annotated"))

            if not self._changed.wait_for(came, timeout):
                return None
            labels, picture = (self._newest(f"{NODE}/{topic}") for topic in ("regions", "annotated"))
            return ShownAnswer(_pixels(labels, np.uint16, 1)[..., 0], _pixels(picture, np.uint8, 3))

    def pick(self, name: str) -> None:
        """Tells the planner to pick something up."""
        with self._changed:
            self._messages.clear()
            self._pick.publish(String(data=name))

    def outcome(self, timeout: float) -> HeardPick:
        """Waits for what the planner says, and gathers what else was heard [s]."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest(f"{PLANNER}/outcome") is not None, timeout)
            said = self._newest(f"{PLANNER}/outcome")
            return HeardPick(
                outcome=None if said is None else PickOutcome.from_json(said.data),
                answer=self._newest(f"{PLANNER}/answer"),
                grasps=self._newest(f"{PLANNER}/grasps"),
                film=[_pixels(one, np.uint8, 3) for one in self._messages.get("/film", [])],
            )

    def rises(self, timeout: float) -> list[float]:
        """How high each object stays above where it stood, for a second from now [m].

        Raises:
            TimeoutError: The table does not answer.
        """
        response = self._call(self._hold, Trigger.Request(), timeout)
        return list(json.loads(response.message)["rises"])

    def _node_answers(self) -> bool:
        """Asks again until there is an answer; while it loads its model the node refuses."""
        if not self._point_at.service_is_ready():
            return False
        if self._warm_up is None:
            self._warm_up = self._point_at.call_async(Point.Request(labels=["table"]))
        if not self._warm_up.done():
            return False
        if self._warm_up.result().result.status != ObjectPointArray.ERROR:
            return True
        self._warm_up = None
        return False

    def _call(self, client: Any, request: Any, timeout: float) -> Any:
        if not client.wait_for_service(timeout):
            raise TimeoutError(f"there is no service {client.srv_name}")
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        if not done.wait(timeout):
            raise TimeoutError(f"{client.srv_name} did not answer within {timeout:.0f} s")
        return future.result()

    def _newest(self, topic: str) -> Any:
        return self._messages.get(topic, [None])[-1]

    def _listen(self, kind: type, topic: str, qos: QoSProfile) -> None:
        self._node.create_subscription(kind, topic, lambda message: self._hear(topic, message), qos)

    def _hear(self, topic: str, message: Any) -> None:
        with self._changed:
            frame = topic in ("/image", "/depth", "/camera_info")
            if not frame or self._frames_to_record > 0:
                self._frames_to_record -= frame
                self._record(topic, message, time.time_ns())
            if topic == "/image":
                stamp = message.header.stamp
                self._frame_stamps.append(stamp.sec * 10**9 + stamp.nanosec)
            elif not frame:
                self._messages.setdefault(topic, []).append(message)
            self._changed.notify_all()


def _pixels(image: Image, kind: type, channels: int) -> np.ndarray:
    """[h, w, channels] of an image without padding."""
    return np.frombuffer(bytes(image.data), kind).reshape(image.height, image.width, channels)
