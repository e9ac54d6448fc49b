# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Plays recorded frames as Gazebo and ros_gz_bridge would: a process, with their topics, headers, clock and defaults.

    python test/node/gazebo_player.py [--frame-id camera/link/rgbd] [--rate 10] [--clock-hz 1000] [--factor 1.0] ...

What it is told on its standard input, one JSON object a line, holds from then on: any option by its attribute's name
(`{"paused": true}`, `{"frame": "user_00"}`), and what happens once:

    {"reset": 3}   the clock goes back to 0, and 3 pictures of the time before come after it, as they do from Gazebo

The clock comes at every step of the physics, also while the world is paused, and with the time that it had. Pictures,
depth and calibration carry the same stamp. It prints a line for what it was told, once that holds.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import json
import select
import sys
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

FRAMES = Path(__file__).parents[1] / "gazebo" / "frames"
SDF_DEFAULT = (277.0, 277.0, 160.0, 120.0)
TABLETOP_VIEW = 1.0297
"""Horizontal view of the recorded tabletop's camera [rad]."""


def lens(width: int, height: int, view: float) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy of a pinhole that sees `view` [rad] across the picture [px]."""
    focal = width / 2 / float(np.tan(view / 2))
    return focal, focal, width / 2 - 0.5, height / 2 - 0.5


@lru_cache(maxsize=4)
def recorded(name: str) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float, float]]:
    """A frame: rgb uint8 [h, w, 3], depth float32 [h, w] [m] with infinity where nothing is, and its true lens [px]."""
    with np.load(FRAMES / f"{name}.npz") as file:
        rgb = file["rgb"]
        if "depth" in file:
            return rgb, file["depth"], lens(rgb.shape[1], rgb.shape[0], TABLETOP_VIEW)
        depth = file["depth_01mm"].astype(np.float32) * np.float32(1e-4)
        depth[depth == 0] = np.inf
        fx, fy, cx, cy = file["k"].tolist()
        return rgb, depth, (fx, fy, cx, cy)


class Camera:
    """One camera's topics, as ros_gz_bridge names them after the sensor's `<topic>`."""

    def __init__(self, node: rclpy.node.Node, name: str) -> None:
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        self.image = node.create_publisher(Image, f"/{name}/image", reliable)
        self.depth = node.create_publisher(Image, f"/{name}/depth_image", reliable)
        self.info = node.create_publisher(CameraInfo, f"/{name}/camera_info", reliable)
        self.sent = 0

    def send(self, told: argparse.Namespace, stamp: float) -> None:
        """Picture, depth and calibration of that time [s]."""
        rgb, depth, true_lens = recorded(told.frame)
        height, width = depth.shape
        nanoseconds = round(stamp * 1e9)
        header = Header(
            frame_id=told.frame_id, stamp=Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
        )
        self.sent += 1
        if "depth" not in told.without and self.sent % 10 >= 10 * told.lose_depth:
            self.depth.publish(_depth_image(depth, told, header))
        if "camera_info" not in told.without:
            fx, fy, cx, cy = told.k or (SDF_DEFAULT if told.default_k else true_lens)
            self.info.publish(
                CameraInfo(
                    header=header,
                    width=told.info_size[0] if told.info_size else width,
                    height=told.info_size[1] if told.info_size else height,
                    distortion_model="plumb_bob",
                    d=[0.0] * 5,
                    k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
                    r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
                    p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
                )
            )
        if "image" not in told.without:
            data = array.array("B", rgb.tobytes())
            self.image.publish(
                Image(header=header, width=width, height=height, encoding="rgb8", step=3 * width, data=data)
            )


def _depth_image(depth: np.ndarray, told: argparse.Namespace, header: Header) -> Image:
    height, width = depth.shape
    if told.infinite_depth:
        depth = np.full_like(depth, np.inf)
    if told.depth_encoding == "16UC1":
        depth = np.nan_to_num(depth * 1000, posinf=0.0).round().astype(np.uint16)
    return Image(
        header=header,
        width=width,
        height=height,
        encoding=told.depth_encoding,
        step=width * depth.itemsize,
        data=array.array("B", depth.tobytes()),
    )


class World:
    """A simulated time and what comes of it."""

    def __init__(self, told: argparse.Namespace) -> None:
        self.told = told
        self.node = rclpy.create_node("ros_gz_bridge")
        self.clock = None if "clock" in told.without else self.node.create_publisher(Clock, "/clock", 10)
        self.cameras = [Camera(self.node, name) for name in told.cameras]
        self.time, self.next_picture = told.begin, told.begin
        self.silent_until = 0.0

    def step(self) -> None:
        """One step of the physics: its time, and the pictures that are due."""
        if not self.told.paused:
            self.time += 1 / self.told.clock_hz
        self._tell_time()
        if self.told.paused or self.time < self.next_picture or self.time < self.silent_until:
            return
        self.next_picture = self.time + 1 / self.told.rate
        self._send_pictures(self.time)

    def reset(self, late: int) -> None:
        """Time begins anew, and pictures from before come after that."""
        last = self.time
        self.time = self.next_picture = 0.0
        for back in range(late, 0, -1):
            for _ in range(round(self.told.clock_hz / self.told.rate)):
                self.time += 1 / self.told.clock_hz
                self._tell_time()
                time.sleep(1 / self.told.clock_hz)
            self._send_pictures(last - (back - 1) / self.told.rate)
        self.silent_until = last if self.told.silent_after_reset else 0.0

    def _tell_time(self) -> None:
        if self.clock is None:
            return
        nanoseconds = round(self.time * 1e9)
        self.clock.publish(Clock(clock=Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)))

    def _send_pictures(self, stamp: float) -> None:
        for camera in self.cameras:
            camera.send(self.told, stamp)


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--frame", default="tabletop", help="name of a recorded frame")
    add("--frame-id", default="camera/link/rgbd", help="of all headers; Gazebo's own without a tag")
    add("--cameras", nargs="*", default=["camera"], help="their <topic>s")
    add("--rate", type=float, default=10.0, help="of pictures, in the world's time [Hz]")
    add("--clock-hz", type=float, default=250.0, help="steps of the physics in a second of the world's time")
    add("--factor", type=float, default=1.0, help="real time factor")
    add("--begin", type=float, default=0.0, help="the first time [s]")
    add("--default-k", action="store_true", help="publish SDF's default calibration")
    add("--k", type=float, nargs=4, help="publish this fx fy cx cy [px]")
    add("--info-size", type=int, nargs=2, help="width and height that camera_info claims")
    add("--depth-encoding", choices=("32FC1", "16UC1"), default="32FC1")
    add("--infinite-depth", action="store_true", help="nothing is within the clip distances")
    add("--lose-depth", type=float, default=0.0, help="share of the depth images that never arrive")
    add("--without", nargs="*", default=[], choices=("image", "depth", "camera_info", "clock"))
    add("--paused", action="store_true")
    add("--silent-after-reset", action="store_true", help="no picture until the old time comes again")
    return parser.parse_args(arguments)


def main() -> None:
    told = parsed(sys.argv[1:])
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)  # an end is an end
    world = World(told)
    due = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        print("ready", flush=True)
        while True:
            world.step()
            due = max(due + 1 / (told.clock_hz * told.factor), time.monotonic() - 0.1)
            while select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
                if not (line := sys.stdin.readline()):
                    return
                changes = json.loads(line)
                late = changes.pop("reset", None)
                vars(told).update(changes)
                if late is not None:
                    world.reset(late)
                print(line.strip(), flush=True)


if __name__ == "__main__":
    main()
