# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Recordings of the simulated camera. Written by rosbags with the message types that it brings, not by this package."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

TYPES = get_typestore(Stores.ROS2_JAZZY)
PERIOD = 100_000_000
START = 1_700_000_000_123_456_789
"""Stamp of the first picture [ns]."""
LATENCY = 7_000_000
"""A picture is recorded this long after its stamp [ns]."""
OPTICAL = "camera_optical_frame"


def kind(name):
    return TYPES.types[name]


def header(stamp, frame=OPTICAL):
    time = kind("builtin_interfaces/msg/Time")(*divmod(stamp, 10**9))
    return kind("std_msgs/msg/Header")(time, frame)


def image(pixels, encoding, stamp):
    height, width = pixels.shape[:2]
    data = np.frombuffer(pixels.tobytes(), np.uint8)
    return kind("sensor_msgs/msg/Image")(
        header(stamp), height, width, encoding, 0, pixels.nbytes // height, data
    )


def compressed(pixels, stamp):
    """PNG, as image_transport's plugin writes it."""
    _, coded = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return kind("sensor_msgs/msg/CompressedImage")(header(stamp), "rgb8; png compressed bgr8", coded)


def compressed_depth(metres, stamp):
    """16UC1 [mm] behind the 12 bytes of compressedDepth's own header."""
    millimetres = np.nan_to_num(metres * 1000).round().astype(np.uint16)
    _, coded = cv2.imencode(".png", millimetres)
    data = np.concatenate([np.zeros(12, np.uint8), coded])
    return kind("sensor_msgs/msg/CompressedImage")(header(stamp), "16UC1; compressedDepth png", data)


def camera_info(frame, stamp):
    height, width = frame.depth.shape
    k, roi = frame.intrinsics, kind("sensor_msgs/msg/RegionOfInterest")(0, 0, 0, 0, False)
    p = np.hstack([k, np.zeros((3, 1))])
    return kind("sensor_msgs/msg/CameraInfo")(
        header(stamp),
        height,
        width,
        "plumb_bob",
        np.zeros(5),
        k.ravel(),
        np.eye(3).ravel(),
        p.ravel(),
        0,
        0,
        roi,
    )


def cloud(points, stamp, frame=OPTICAL):
    """An unorganised cloud of float32 [n, 3] metres."""
    field = kind("sensor_msgs/msg/PointField")
    fields = [field(name, 4 * place, field.FLOAT32, 1) for place, name in enumerate("xyz")]
    data = np.frombuffer(points.astype("<f4").tobytes(), np.uint8)
    count = len(points)
    return kind("sensor_msgs/msg/PointCloud2")(
        header(stamp, frame), 1, count, fields, False, 12, 12 * count, data, False
    )


def transform(parent, child, stamp, position, quaternion=(0.0, 0.0, 0.0, 1.0)):
    """A TFMessage of one transform."""
    pose = kind("geometry_msgs/msg/Transform")(
        kind("geometry_msgs/msg/Vector3")(*position), kind("geometry_msgs/msg/Quaternion")(*quaternion)
    )
    return kind("tf2_msgs/msg/TFMessage")(
        [kind("geometry_msgs/msg/TransformStamped")(header(stamp, parent), child, pose)]
    )


@dataclass
class Recording:
    """Messages to be written, in any order: (topic, type, log time [ns], message)."""

    messages: list = field(default_factory=list)

    def add(self, topic, message, time):
        data = bytes(TYPES.serialize_cdr(message, message.__msgtype__))
        self.messages.append((topic, message.__msgtype__, time, data))

    def write(self, folder, mcap=False):
        """A rosbag2 folder; returns it, or the file in it where it is MCAP."""
        plugin = StoragePlugin.MCAP if mcap else StoragePlugin.SQLITE3
        with Writer(folder, version=9, storage_plugin=plugin) as writer:
            connections = {}
            for topic, type_name, time, data in sorted(self.messages, key=lambda one: one[2]):
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, type_name, typestore=TYPES)
                writer.write(connections[topic], time, data)
        return folder / f"{folder.name}.mcap" if mcap else folder


def recorded(frame, count, *, depth_delay=0, picture=None, info=True, depth=True):
    """`count` raw pictures of a simulated frame at 10 Hz, with depth and calibration.

    Args:
        frame: A `molmo_ros.sim.renderer.Rendering`.
        depth_delay: How much later than its picture depth is recorded [ns].
        picture: Returns the picture, given its number.
    """
    recording = Recording()
    for number in range(count):
        stamp = START + number * PERIOD
        pixels = frame.rgb if picture is None else picture(number)
        recording.add("/image", image(pixels, "rgb8", stamp), stamp + LATENCY)
        if depth:
            recording.add("/depth", image(frame.depth, "32FC1", stamp), stamp + LATENCY + depth_delay)
        if info:
            recording.add("/camera_info", camera_info(frame, stamp), stamp + LATENCY)
    return recording
