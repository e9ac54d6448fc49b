# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From Gazebo's transport to ROS, as ros_gz_bridge does it: bridge.py RELAY CONFIG.yaml

CONFIG is ros_gz_bridge's own, of which the topics' names are read. Frames are named `model/link/sensor` for Gazebo's
`model::link::sensor`, and publishers are reliable, as there. Ends with its stdin.
"""

import array
import os
import sys
from pathlib import Path
from typing import Any

import rclpy
import yaml
from builtin_interfaces.msg import Time
from gazebo_messages import Relay
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

ENCODINGS = {1: "mono8", 2: "mono16", 3: "rgb8", 4: "rgba8", 8: "bgr8", 13: "32FC1"}
"""ROS' names of gz.msgs.PixelFormatType."""


def value_of(header: Any, key: str) -> str:
    """A frame that a header names; empty where it does not."""
    return next(
        (pair.value[0].replace("::", "/") for pair in header.data if pair.key == key and pair.value), ""
    )


def to_header(header: Any) -> Header:
    stamp = Time(sec=header.stamp.sec, nanosec=header.stamp.nsec)
    return Header(stamp=stamp, frame_id=value_of(header, "frame_id"))


def to_image(message: Any) -> Image:
    return Image(
        header=to_header(message.header),
        width=message.width,
        height=message.height,
        encoding=ENCODINGS[message.pixel_format_type],
        step=message.step or len(message.data) // message.height,
        data=array.array("B", message.data),
    )


def to_camera_info(message: Any) -> CameraInfo:
    return CameraInfo(
        header=to_header(message.header),
        width=message.width,
        height=message.height,
        distortion_model="plumb_bob",
        d=list(message.distortion.k),
        k=list(message.intrinsics.k),
        r=list(message.rectification_matrix) or [0.0] * 9,
        p=list(message.projection.p) or [0.0] * 12,
    )


def to_clock(message: Any) -> Clock:
    return Clock(clock=Time(sec=message.sim.sec, nanosec=message.sim.nsec))


def to_transforms(message: Any) -> TFMessage:
    return TFMessage(
        transforms=[
            TransformStamped(
                header=to_header(pose.header),
                child_frame_id=value_of(pose.header, "child_frame_id"),
                transform=Transform(
                    translation=Vector3(x=pose.position.x, y=pose.position.y, z=pose.position.z),
                    rotation=Quaternion(
                        x=pose.orientation.x, y=pose.orientation.y, z=pose.orientation.z, w=pose.orientation.w
                    ),
                ),
            )
            for pose in message.pose
        ]
    )


CONVERTERS = {
    "Image": (Image, to_image),
    "CameraInfo": (CameraInfo, to_camera_info),
    "Clock": (Clock, to_clock),
    "Pose_V": (TFMessage, to_transforms),
}


def main(program: str, config: str) -> None:
    rclpy.init()
    node = rclpy.create_node("bridge")
    publishers: dict[str, Any] = {}
    for entry in yaml.safe_load(Path(config).read_text()):
        kind, _ = CONVERTERS[entry["gz_type_name"].rpartition(".")[2]]
        topic = entry.get("gz_topic_name") or entry["topic_name"]
        publishers[topic] = node.create_publisher(kind, entry.get("ros_topic_name") or topic, 10)
    relay = Relay(Path(program), list(publishers), dict(os.environ), stdin=None)
    while packet := relay.hear():
        _, convert = CONVERTERS[packet.type]
        publishers[packet.topic].publish(convert(packet.message))


if __name__ == "__main__":
    main(*sys.argv[1:])
