# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A robot's transforms: base > rail (static) > wrist (1 m/s along x since time zero, 20 Hz) > camera (static)."""

import math
import sys

import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.executors import ExternalShutdownException
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def transform(parent, child, stamp, xyz=(0.0, 0.0, 0.0), yaw=0.0):
    """A TransformStamped at `stamp` [ns]."""
    header = Header(frame_id=parent, stamp=Time(sec=stamp // 10**9, nanosec=stamp % 10**9))
    turn = Quaternion(z=math.sin(yaw / 2), w=math.cos(yaw / 2))
    place = Vector3(x=xyz[0], y=xyz[1], z=xyz[2])
    return TransformStamped(
        header=header, child_frame_id=child, transform=Transform(translation=place, rotation=turn)
    )


def main(zero):
    rclpy.init()
    node = rclpy.create_node("tf_broadcaster")
    fixed = node.create_publisher(TFMessage, "/tf_static", LATCHED)
    fixed.publish(
        TFMessage(
            transforms=[
                transform("base", "rail", 0, (0.0, 2.0, 0.0), math.pi / 2),
                transform("wrist", "camera", 0, (0.0, 0.0, 0.1)),
            ]
        )
    )
    moving = node.create_publisher(TFMessage, "/tf", 100)

    def move():
        now = node.get_clock().now().nanoseconds
        moving.publish(
            TFMessage(transforms=[transform("rail", "wrist", now, ((now - zero) * 1e-9, 0.0, 0.0))])
        )

    node.create_timer(0.05, move)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        rclpy.try_shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
