# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The planner as a ROS 2 node: a name on `~/pick`, and what came of it on `~/outcome`.

What it went by is told, too: the service's answer on `~/answer` and `~/grasps`.
"""

from __future__ import annotations

import sys
import threading
from queue import SimpleQueue
from typing import Any

from geometry_msgs.msg import PoseStamped
from molmo_msgs.msg import GraspArray, ObjectPointArray
from molmo_msgs.srv import Point
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from molmo_ros.geometry import RigidTransform
from molmo_ros.pick.hand_interface import (
    CAMERA_JOINT,
    FINGER_JOINT,
    FINGERS_SET,
    MOVE,
    MOVED,
    SET_FINGERS,
    TURN,
    TURNED,
    joint_command,
    move_command,
)
from molmo_ros.pick.planner import WORLD, PickOutcome, pick
from molmo_ros.sim.node_process import run_node

ANSWER_TIMEOUT, MOTION_TIMEOUT = 60.0, 60.0
"""How long the node and the hand are waited for [s]."""


class PlannerNode(Node):
    """Picks in a thread of its own, which waits; its callbacks only hand over what came."""

    def __init__(self) -> None:
        super().__init__("molmo_pick_planner")
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        self._point_at = self.create_client(Point, "molmo_node/point_at")
        self._move = self.create_publisher(PoseStamped, MOVE, reliable)
        self._set_fingers = self.create_publisher(JointState, SET_FINGERS, reliable)
        self._turn = self.create_publisher(JointState, TURN, reliable)
        self._turned_at: Time | None = None
        self._answer = self.create_publisher(ObjectPointArray, "~/answer", reliable)
        self._grasps = self.create_publisher(GraspArray, "~/grasps", reliable)
        self._outcome = self.create_publisher(String, "~/outcome", reliable)
        self._names: SimpleQueue[str] = SimpleQueue()
        self._came = threading.Condition()
        self._last: Any = None
        self.create_subscription(String, "~/pick", self._on_pick, reliable)
        self.create_subscription(PoseStamped, MOVED, self._keep, reliable)
        self.create_subscription(JointState, FINGERS_SET, self._keep, reliable)
        self.create_subscription(JointState, TURNED, self._keep, reliable)
        threading.Thread(target=self._pick_all, name="picks", daemon=True).start()

    def move(self, world_from_hand: RigidTransform) -> None:
        """Raises TimeoutError where the hand says nothing."""
        self._command(self._move, move_command(WORLD, world_from_hand))

    def set_fingers(self, opening: float) -> float:
        """Raises TimeoutError where the hand says nothing."""
        return float(self._command(self._set_fingers, joint_command(FINGER_JOINT, opening)).position[0])

    def turn_camera(self, angle: float) -> None:
        """Raises TimeoutError where the camera says nothing."""
        self._command(self._turn, joint_command(CAMERA_JOINT, angle))
        self._turned_at = self.get_clock().now()

    def _on_pick(self, message: String) -> None:
        self._names.put(message.data)

    def _pick_all(self) -> None:
        while True:
            name, self._turned_at = self._names.get(), None
            try:
                outcome = pick(name, self._ask, self)
            except Exception as error:  # the next pick shall go on
                outcome = PickOutcome(name, False, f"{type(error).__name__}: {error}")
            if not self.context.ok():
                return
            self._outcome.publish(String(data=outcome.to_json()))

    def _ask(self, request: Point.Request) -> Point.Response:
        """Asks until the answer is about a picture from after the camera's last turn, or about none.

        Raises:
            TimeoutError: There is no answer.
        """
        started = self.get_clock().now()
        while True:
            response = self._answer_to(request)
            stamp = Time.from_msg(response.result.header.stamp, clock_type=started.clock_type)
            late = (self.get_clock().now() - started).nanoseconds > ANSWER_TIMEOUT * 1e9
            if self._turned_at is None or stamp > self._turned_at or late:
                break
        self._answer.publish(response.result)
        self._grasps.publish(response.grasps)
        return response

    def _answer_to(self, request: Point.Request) -> Point.Response:
        answered = threading.Event()
        future = self._point_at.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(ANSWER_TIMEOUT):
            raise TimeoutError(f"no answer within {ANSWER_TIMEOUT:.0f} s")
        response: Point.Response = future.result()
        return response

    def _command(self, publisher: Any, command: PoseStamped | JointState) -> Any:
        """Sends a command and waits for its answer, which has its stamp."""
        command.header.stamp = self.get_clock().now().to_msg()
        with self._came:
            publisher.publish(command)
            answered = self._came.wait_for(
                lambda: self._last is not None and self._last.header.stamp == command.header.stamp,
                MOTION_TIMEOUT,
            )
            if not answered:
                raise TimeoutError(f"{publisher.topic_name} was not answered within {MOTION_TIMEOUT:.0f} s")
            return self._last

    def _keep(self, answer: PoseStamped | JointState) -> None:
        with self._came:
            self._last = answer
            self._came.notify_all()


def main() -> int:
    """Run the planner until SIGINT, SIGTERM or a shutdown of its context; returns the exit code."""
    return run_node("molmo_pick_planner", PlannerNode)


if __name__ == "__main__":
    sys.exit(main())
