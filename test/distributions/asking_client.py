# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A camera and a user in one process, to be run by another distribution's Python than the node's.

`asking_client.py SEED` shows the node one simulated scene, asks about its first unmistakable object by every entrance,
and about a large picture; prints what came of it as one line of JSON, after the mark `HEARD `. All waiting is bounded.
"""

import array
import json
import sys
import time

import cv2
import numpy as np
import rclpy
from lifecycle_msgs.srv import GetState
from molmo_msgs.action import Query
from molmo_msgs.msg import ObjectPointArray
from molmo_msgs.srv import Point
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.action import ActionClient
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String

from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

PATIENCE = 60.0
LARGE = (1920, 1080)


def unmistakable(scene):
    """The index of the first object whose name no other has."""
    names = [thing.name for thing in scene.objects]
    return next(index for index, name in enumerate(names) if names.count(name) == 1)


def picture(pixels, encoding="rgb8"):
    height, width = pixels.shape[:2]
    message = Image(width=width, height=height, encoding=encoding, step=pixels.nbytes // height)
    message.header.frame_id = "camera_optical"
    message.data = array.array("B", pixels.tobytes())
    return message


class Asking:
    def __init__(self, seed):
        self.node = rclpy.create_node("asker")
        self.heard, self.shown, self.pictures = [], [], []
        reliable = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
        self.image = self.node.create_publisher(Image, "image", reliable)
        self.depth = self.node.create_publisher(Image, "depth", reliable)
        self.info = self.node.create_publisher(CameraInfo, "camera_info", qos_profile_sensor_data)
        self.query = self.node.create_publisher(
            String, "query", QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        )
        self.node.create_subscription(ObjectPointArray, "molmo_node/result", self.heard.append, 100)
        self.node.create_subscription(Image, "molmo_node/answered/image", self.pictures.append, 5)
        scene = Scene.random(seed)
        frame = render(scene, *SENSOR)
        self.name = scene.objects[unmistakable(scene)].name
        self.messages = picture(frame.rgb), picture(frame.depth.astype(np.float32), "32FC1")
        height, width = frame.depth.shape
        self.calibration = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
        self.calibration.header.frame_id = "camera_optical"
        self.calibration.k = frame.intrinsics.ravel().tolist()
        self.rgb = frame.rgb
        self.node.create_timer(0.2, self.show)

    def show(self):
        stamp = self.node.get_clock().now().to_msg()
        picture, depth = self.messages
        for publisher, message in ((self.info, self.calibration), (self.depth, depth), (self.image, picture)):
            if message is not None:
                message.header.stamp = stamp
                publisher.publish(message)
        self.shown.append([stamp.sec, stamp.nanosec])

    def spin_until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                sys.exit(f"nothing came of {what} within {PATIENCE:.0f} s")
            rclpy.spin_once(self.node, timeout_sec=0.1)

    def answer(self, future, what):
        self.spin_until(future.done, what)
        return future.result()

    def client(self, kind, name):
        client = self.node.create_client(kind, f"molmo_node/{name}")
        self.spin_until(client.service_is_ready, f"the service {name}")
        return client

    def by_topic(self):
        self.spin_until(lambda: self.query.get_subscription_count() > 0, "the topic query")
        # Its side of each match may be later than ours, and so may the first frame with its depth.
        for _ in range(int(PATIENCE)):
            heard, shown = len(self.heard), len(self.shown)
            self.query.publish(String(data=self.name))
            self.spin_until(lambda heard=heard: len(self.heard) > heard, "a query by topic")
            if self.heard[-1].status == ObjectPointArray.FOUND:
                break
            self.spin_until(lambda shown=shown: len(self.shown) > shown, "the camera")
        return told(self.heard[-1])

    def by_service(self, **wanted):
        request = Point.Request(labels=[self.name], **wanted)
        return self.answer(self.client(Point, "point_at").call_async(request), "a service call").result

    def by_action(self):
        feedback = []
        client = ActionClient(self.node, Query, "molmo_node/query")
        self.spin_until(client.server_is_ready, "the action")
        goal = Query.Goal(kind="point", labels=[self.name])
        handle = self.answer(client.send_goal_async(goal, feedback_callback=feedback.append), "a goal")
        done = self.answer(handle.get_result_async(), "a goal's result")
        return {**told(done.result.result), "goal_status": done.status, "feedback": len(feedback)}

    def parameters(self):
        """Sets one parameter that can be, one that cannot, and reads the first back."""
        values = [Parameter("rate", value=3.5), Parameter("rate", value=-1.0)]
        set_them = self.client(SetParameters, "set_parameters")
        results = [
            self.answer(
                set_them.call_async(SetParameters.Request(parameters=[value.to_parameter_msg()])),
                "a parameter",
            ).results[0]
            for value in values
        ]
        read = self.client(GetParameters, "get_parameters")
        value = self.answer(read.call_async(GetParameters.Request(names=["rate"])), "a parameter").values[0]
        return {
            "set": [result.successful for result in results],
            "reason": results[1].reason,
            "rate": value.double_value,
        }

    def state(self):
        return self.answer(self.client(GetState, "get_state").call_async(GetState.Request()), "the state")

    def large(self):
        """A large picture that comes with a call; and one of the camera, which a continuous query is answered about."""
        sent = cv2.resize(self.rgb, LARGE, interpolation=cv2.INTER_NEAREST)
        attached = told(self.by_service(image=picture(sent)))
        self.messages = picture(sent), None
        asked = SetParameters.Request(parameters=[Parameter("queries", value=[self.name]).to_parameter_msg()])
        self.answer(self.client(SetParameters, "set_parameters").call_async(asked), "a continuous query")

        def back():
            return [message for message in self.pictures if (message.width, message.height) == LARGE]

        self.spin_until(back, "a large picture")
        return {"attached": attached, "same": bytes(back()[0].data) == sent.tobytes()}

    def type_hashes(self):
        """As the node's ends of two topics announce them."""
        ends = {
            "molmo_msgs/msg/ObjectPointArray": self.node.get_publishers_info_by_topic("/molmo_node/result"),
            "sensor_msgs/msg/Image": self.node.get_subscriptions_info_by_topic("/image"),
        }
        return {
            kind: [str(end.topic_type_hash) for end in found if end.node_name == "molmo_node"]
            for kind, found in ends.items()
        }


def told(result):
    return {
        "status": result.status,
        "reason": result.reason,
        "size": [result.image_width, result.image_height],
        "stamp": [result.header.stamp.sec, result.header.stamp.nanosec],
        "frame": result.header.frame_id,
        "pixels": [[point.pixel.x, point.pixel.y] for point in result.points],
        "positions": [
            [point.position.x, point.position.y, point.position.z]
            for point in result.points
            if point.has_position
        ],
    }


def main(seed):
    rclpy.init()
    asking = Asking(int(seed))
    asking.spin_until(lambda: asking.node.count_subscribers("image") > 0, "the topic image")
    asking.spin_until(lambda: asking.state().current_state.label == "active", "the model")
    heard = {"topic": asking.by_topic(), "service": told(asking.by_service()), "action": asking.by_action()}
    heard |= {"parameters": asking.parameters(), "hashes": asking.type_hashes(), "large": asking.large()}
    heard |= {"name": asking.name, "shown": asking.shown}
    print("HEARD", json.dumps(heard), flush=True)
    rclpy.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
