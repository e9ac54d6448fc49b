# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A camera's process with one thing wrong, as drivers and simulators have it: for `check_camera`.

    python -m benchmarks.broken_camera --fault default_k [--rate 15]

It plays one picture that Gazebo rendered, with its depth, on `/camera/image`, `/camera/depth_image` and
`/camera/camera_info`, and the transforms `world` -> `camera_link` -> `camera_optical_frame`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

FRAMES = Path(__file__).parents[1] / "test" / "gazebo" / "frames"
OPTICAL, BODY = "camera_optical_frame", "camera_link"
SENSOR = "camera/camera_link/rgbd_camera"
SIMULATED = ("paused", "two_clocks", "reset", "slow_simulation", "fast_clock", "no_sim_time", "late_clock")
RESET_EVERY = 5.0
"""[s]"""
FAULTS = {
    "none": "nothing",
    "sensor_frame": "Gazebo's own frame, model/link/sensor",
    "body_frame": "the frame of the camera's body, its optical frame in TF",
    "default_k": "SDF's default K (277, 277, 160, 120)",
    "other_resolution": "K of 1280x960 for pictures of 640x480",
    "uncalibrated": "K of zeros",
    "no_info": "no camera_info",
    "no_stamps": "stamps of 0",
    "no_sim_time": "stamps of a simulation, use_sim_time not set",
    "paused": "a paused simulation",
    "two_clocks": "two publishers of /clock",
    "reset": "a reset of the time, pictures from before come late",
    "slow_simulation": "10 Hz at a real-time factor of 0.1",
    "fast_clock": "/clock at 1000 Hz",
    "late_clock": "pictures 3 s old",
    "depth_camera": "depth of another camera, without its calibration",
    "depth_size": "depth of another size",
    "depth_late": "depth 30 ms later than the pictures",
    "depth_lost": "two of three depth images are lost",
    "no_depth": "no depth",
    "infinite_depth": "depth without end",
    "millimetres": "32FC1 in millimetres",
    "depth_as_image": "depth on the pictures' topic",
    "unknown_encoding": "an encoding that nobody knows",
    "two_cameras": "two publishers of the pictures",
    "no_frame": "headers without frame_id",
    "slow": "one picture in three seconds",
}


class Player:
    """Publishes until it is stopped.

    Args:
        node: An rclpy node.
        fault: One of `FAULTS`.
        rate: Pictures in a second [Hz].
    """

    def __init__(self, node: Any, fault: str, rate: float) -> None:
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from rosgraph_msgs.msg import Clock
        from sensor_msgs.msg import CameraInfo, Image
        from tf2_msgs.msg import TFMessage

        self.node, self.fault, self.rate = node, fault, rate
        self.simulated = fault in SIMULATED
        picture = np.load(FRAMES / "user_00.npz")
        self._rgb, self._k = picture["rgb"], [float(one) for one in picture["k"]]
        depth = (picture["depth_01mm"] * np.float32(1e-4)).astype(np.float32)
        if fault == "infinite_depth":
            depth = np.full_like(depth, math.inf)
        elif fault == "millimetres":
            depth = depth * 1e3
        elif fault == "depth_size":
            depth = np.ascontiguousarray(depth[::2, ::2])
        self._picture = _image(self._rgb, "rgb10" if fault == "unknown_encoding" else "rgb8")
        self._distances = _image(depth, "32FC1")
        self._image_out = node.create_publisher(Image, "/camera/image", 5)
        self._depth_out = node.create_publisher(Image, "/camera/depth_image", 5)
        self._info_out = node.create_publisher(CameraInfo, "/camera/camera_info", 5)
        self._clock_out = node.create_publisher(Clock, "/clock", 10) if self.simulated else None
        if fault == "two_cameras":
            self._second = node.create_publisher(Image, "/camera/image", 5)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._static = node.create_publisher(TFMessage, "/tf_static", latched)
        self._static.publish(TFMessage(transforms=self._transforms()))
        self._began, self._count = time.monotonic(), 0
        self._slot = -1
        self._lost = random.Random(1)

    def clock_rate(self) -> float:
        """How often the time is published [Hz]."""
        return 1000.0 if self.fault == "fast_clock" else 100.0

    def now(self) -> float:
        """The camera's time [s]."""
        if not self.simulated:
            return time.time()
        since = time.monotonic() - self._began
        if self.fault == "paused":
            return 20.0
        if self.fault == "slow_simulation":
            return 20.0 + 0.1 * since
        if self.fault == "reset":
            return 20.0 + since % RESET_EVERY
        return 20.0 + since

    def publish_time(self, other: Any = None) -> None:
        """One message on /clock."""
        from rosgraph_msgs.msg import Clock

        if self._clock_out is not None:
            message = Clock()
            message.clock = _time(self.now())
            self._clock_out.publish(message)
        if other is not None:
            message = Clock()
            message.clock = _time(self.now() + 500.0)
            other.publish(message)

    def publish(self) -> None:
        """One picture with depth and calibration."""
        fault, since = self.fault, time.monotonic() - self._began
        if fault == "paused" and self._count > 3:
            return
        slot = int(self.now() * self.rate)
        if slot == self._slot:
            return
        self._slot, self._count = slot, self._count + 1
        now = slot / self.rate  # a camera's stamps are steady, whatever the machine has to do
        if fault == "late_clock":
            now -= 3.0
        if (
            fault == "reset" and since > RESET_EVERY and since % RESET_EVERY < 0.5
        ):  # what was still on its way
            now += RESET_EVERY
        stamp = _time(0.0 if fault == "no_stamps" else now)
        frame = {"sensor_frame": SENSOR, "body_frame": BODY, "no_frame": ""}.get(fault, OPTICAL)
        image = self._image(stamp, frame)
        if fault == "two_cameras" and self._count % 2:
            self._second.publish(image)
        else:
            self._image_out.publish(image)
        if fault != "no_info":
            self._info_out.publish(self._info(stamp, frame))
        if fault == "no_depth" or (fault == "depth_lost" and self._lost.random() < 0.6):
            return
        late = _time(now + 0.03) if fault == "depth_late" else stamp
        self._depth_out.publish(self._depth_image(late, frame))

    def _image(self, stamp: Any, frame: str) -> Any:
        if self.fault == "depth_as_image":
            return self._depth_image(stamp, frame)
        return _headed(self._picture, stamp, frame)

    def _depth_image(self, stamp: Any, frame: str) -> Any:
        if self.fault == "depth_camera":
            frame = "camera_depth_optical_frame"
        return _headed(self._distances, stamp, frame)

    def _info(self, stamp: Any, frame: str) -> Any:
        from sensor_msgs.msg import CameraInfo

        height, width = self._rgb.shape[:2]
        fx, fy, cx, cy = self._k
        if self.fault == "default_k":
            fx, fy, cx, cy = 277.0, 277.0, 160.0, 120.0
        elif self.fault == "other_resolution":
            fx, fy, cx, cy = 2 * fx, 2 * fy, 2 * cx + 0.5, 2 * cy + 0.5
        elif self.fault == "uncalibrated":
            fx = fy = cx = cy = 0.0
        info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
        info.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
        info.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
        info.header.stamp, info.header.frame_id = stamp, frame
        return info

    def _transforms(self) -> list[Any]:
        from geometry_msgs.msg import TransformStamped

        found = []
        for parent, child, (x, y, z, w) in (
            ("world", BODY, (0.0, 0.38, 0.0, 0.92)),
            (BODY, OPTICAL, (-0.5, 0.5, -0.5, 0.5)),
            (BODY, SENSOR, (0.0, 0.0, 0.0, 1.0)),
        ):
            if child == (OPTICAL if self.fault == "sensor_frame" else SENSOR):
                continue
            one = TransformStamped(child_frame_id=child)
            one.header.frame_id = parent
            rotation = one.transform.rotation
            norm = math.sqrt(x * x + y * y + z * z + w * w)
            rotation.x, rotation.y, rotation.z, rotation.w = x / norm, y / norm, z / norm, w / norm
            found.append(one)
        return found


def _image(pixels: np.ndarray, encoding: str) -> Any:
    import array

    from sensor_msgs.msg import Image

    height, width = pixels.shape[:2]
    message = Image(width=width, height=height, encoding=encoding, step=pixels.strides[0])
    message.data = array.array("B", pixels.tobytes())
    return message


def _headed(message: Any, stamp: Any, frame: str) -> Any:
    message.header.stamp, message.header.frame_id = stamp, frame
    return message


def _time(seconds: float) -> Any:
    from builtin_interfaces.msg import Time

    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def play(fault: str, rate: float) -> None:
    """Publish until SIGTERM."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from rosgraph_msgs.msg import Clock

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("gazebo_bridge")
    wall = {"slow": 1 / 3, "slow_simulation": 1.0}.get(fault, rate)
    rate = {"slow_simulation": 10.0}.get(fault, wall)
    player, other, bag = Player(node, fault, rate), None, None
    if fault == "two_clocks":
        bag = rclpy.create_node("bag_player")
        other = bag.create_publisher(Clock, "/clock", 10)
    due = tick = time.monotonic()
    while not stop.wait(max(0.0, min(due, tick) - time.monotonic())):
        now = time.monotonic()
        if now >= tick:
            player.publish_time(other)
            tick = max(tick + 1 / player.clock_rate(), now - 0.01) if player.simulated else math.inf
        if now >= due:
            player.publish()
            due = max(due + 1 / wall, now)
    rclpy.try_shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--fault", choices=FAULTS, default="none", help=json.dumps(FAULTS, indent=1).replace("%", "%%")
    )
    parser.add_argument("--rate", type=float, default=15.0, help="[Hz]")
    arguments = parser.parse_args()
    play(arguments.fault, arguments.rate)


if __name__ == "__main__":
    main()
