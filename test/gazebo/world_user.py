# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks the node about a world, and knows from the pose publishers where things are."""

import time

import rclpy
from geometry_msgs.msg import TransformStamped
from molmo_msgs.srv import Point
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from tf2_msgs.msg import TFMessage

from molmo_ros.gazebo.bridge_file import POSES
from molmo_ros.gazebo.point_judgement import SaidPoint, faults_of
from molmo_ros.geometry.rigid_transform import RigidTransform

PASSING = ("ERROR", "NO_IMAGE", "STALE", "NO_DEPTH", "NO_TRANSFORM", "BUSY")
"""What an answer may be while simulation and model come up; asked again for as long as patience lasts."""
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


def rigid(transform):
    place, turn = transform.translation, transform.rotation
    return RigidTransform((place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))


def seconds(stamp):
    return stamp.sec + stamp.nanosec * 1e-9


class WorldUser:
    """A client of the node and a listener to Gazebo.

    Attributes:
        now: The simulated time [s].
        poses: Where each model is that says so (world_from_model).
    """

    def __init__(self, questions, domain):
        self.questions, self.now, self.poses = questions, 0.0, {}
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("world_user", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.client = self.node.create_client(Point, "molmo_node/point_at")
        self.node.create_subscription(Clock, "/clock", self._on_clock, BEST_EFFORT)
        for topic in (POSES, "/tf"):
            self.node.create_subscription(TFMessage, topic, self._on_transforms, 100)

    def _on_clock(self, message):
        self.now = seconds(message.clock)

    def _on_transforms(self, message):
        one: TransformStamped
        for one in message.transforms:
            if one.header.frame_id == self.questions.world.name:
                self.poses[one.child_frame_id.replace("/", "::")] = rigid(one.transform)

    def spin(self, until=lambda: False, patience=1.0):
        """Listen until a condition holds; whether it does."""
        end = time.monotonic() + patience
        while not (holds := until()) and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)
        return holds

    def ask(self, words, patience=60.0):
        """One answer of the node."""
        return self.response(words, patience).result

    def response(self, words, patience=60.0, **more):
        """What the node's service says; `more` of its request."""
        assert self.spin(self.client.service_is_ready, patience), (
            "the service molmo_node/point_at is not there"
        )
        several = len(self.questions.world.cameras) > 1
        camera = self.questions.camera.name if several else ""
        future = self.client.call_async(Point.Request(labels=[words], camera=camera, **more))
        assert self.spin(future.done, patience), f"no answer about {words} within {patience:g} s"
        return future.result()

    def answer(self, words, after=0.0, patience=60.0):
        """The first answer about a picture of this time [s] or later that is no matter of waiting, or the last one."""
        end = time.monotonic() + patience
        while True:
            result = self.ask(words)
            waiting = result.status in PASSING or seconds(result.header.stamp) < after
            if not waiting or time.monotonic() > end:
                return result
            self.spin(patience=0.2)

    def faults(self, name, **how):
        """What is wrong with the answer about an object, where it is now."""
        result = self.answer(self.questions.queries[name], **how)
        said = [
            SaidPoint(
                (point.pixel.x, point.pixel.y),
                (point.position.x, point.position.y, point.position.z) if point.has_position else None,
                result.frame_id,
            )
            for point in result.points
        ]
        faults = faults_of(said, name, self.questions.view(self.poses))
        if result.status != "FOUND":
            faults.append(f"{result.status}: {result.reason or result.text}")
        return faults

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
