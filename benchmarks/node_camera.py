# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A camera's process for the benchmarks of the node: `image`, `depth` and `camera_info` of a `MovingPatch` at a rate.

    python -m benchmarks.node_camera --size 1280x720 --rate 30 [--encoding rgb8|bgr8|yuyv|jpeg] [--depth [--block]]

Encodings other than rgb8 show a still picture. On SIGTERM it prints how many frames it has published, and how many
ticks it missed because publishing took too long.
"""

from __future__ import annotations

import argparse
import array
import json
import signal
import sys
import threading
import time
from typing import Any

import cv2
import numpy as np

from benchmarks.moving_patch import MovingPatch

ENCODINGS = ("rgb8", "bgr8", "yuyv", "jpeg")
OPTICAL_FRAME = "camera_optical"
DISTANCE = 1000
"""Of everything [mm]."""
BLOCK = 60
"""How much nearer the patch is where it is the top of a block [mm]."""


def size_of(text: str) -> tuple[int, int]:
    """Width and height [px] of a text such as 640x480."""
    width, height = text.split("x")
    return int(width), int(height)


class PictureMessages:
    """Image messages of one encoding, made again and again in the same buffer.

    Args:
        width: [px].
        height: [px].
        encoding: One of `ENCODINGS`.
    """

    def __init__(self, width: int, height: int, encoding: str) -> None:
        from sensor_msgs.msg import CompressedImage, Image

        self._patch = MovingPatch(width, height) if encoding == "rgb8" else None
        still = MovingPatch(width, height)
        if not self._patch:
            still.draw(0)
        if encoding == "jpeg":
            _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(still.picture, cv2.COLOR_RGB2BGR))
            self.message = CompressedImage(format="rgb8; jpeg compressed bgr8")
            self.message.data = array.array("B", jpeg.tobytes())
            return
        pixels = _encoded(still.picture, encoding)
        self.message = Image(width=width, height=height, encoding=encoding, step=pixels.strides[0])
        self.message.data = array.array("B", pixels.tobytes())
        if self._patch:
            # The message's own buffer is drawn into: converting a whole picture would be the slowest part.
            self._patch.picture = np.frombuffer(self.message.data, np.uint8).reshape(height, width, 3)

    @property
    def drawn(self) -> tuple[slice, slice]:
        """Rows and columns of the patch in the last message."""
        return self._patch.drawn if self._patch else (slice(0, 0), slice(0, 0))

    def at(self, stamp: int) -> Any:
        """The message of a time [ns]."""
        if self._patch:
            self._patch.draw(stamp)
        return self.message


def _encoded(picture: np.ndarray, encoding: str) -> np.ndarray:
    """uint8 [h, w, channels] of an RGB picture; yuyv without colours."""
    if encoding == "bgr8":
        return np.ascontiguousarray(picture[..., ::-1])
    if encoding == "yuyv":
        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        return np.stack([gray, np.full_like(gray, 128)], axis=-1)
    return picture


def publish(
    size: tuple[int, int], rate: float, encoding: str, with_depth: bool, with_block: bool = False
) -> dict[str, int]:
    """Publishes until SIGTERM; returns the counts."""
    import rclpy
    from builtin_interfaces.msg import Time
    from rclpy.qos import qos_profile_sensor_data as qos
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import CameraInfo, CompressedImage, Image

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("bench_camera")
    width, height = size
    pictures = PictureMessages(width, height, encoding)
    topic = ("image/compressed", CompressedImage) if encoding == "jpeg" else ("image", Image)
    image_out = node.create_publisher(topic[1], topic[0], qos)
    depth_out = node.create_publisher(Image, "depth", qos)
    info_out = node.create_publisher(CameraInfo, "camera_info", qos)
    depth = Image(width=width, height=height, encoding="16UC1", step=2 * width)
    # Depth has noise, or surfaces would be found faster than any camera's.
    noisy = np.random.default_rng(0).normal(DISTANCE, 1.0, (height, width)).round().astype(np.uint16)
    depth.data = array.array("B", noisy.tobytes())
    millimetres = np.frombuffer(depth.data, np.uint16).reshape(height, width)
    k = [600.0, 0.0, width / 2, 0.0, 600.0, height / 2, 0.0, 0.0, 1.0]
    info = CameraInfo(width=width, height=height, k=k, d=[0.1, -0.05, 0.0, 0.0, 0.0])
    info.distortion_model = "plumb_bob"
    published = missed = 0
    due = time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        stamp = time.time_ns()
        header_time = Time(sec=stamp // 1_000_000_000, nanosec=stamp % 1_000_000_000)
        millimetres[pictures.drawn] = noisy[pictures.drawn]
        image = pictures.at(stamp)
        if with_block:
            millimetres[pictures.drawn] -= BLOCK
        for message, out, wanted in (
            (info, info_out, with_depth),
            (depth, depth_out, with_depth),
            (image, image_out, True),
        ):
            if wanted:
                message.header.stamp, message.header.frame_id = header_time, OPTICAL_FRAME
                out.publish(message)
        published += 1
        late = int((time.monotonic() - due) * rate)
        missed += late
        due += (1 + late) / rate
    node.destroy_node()
    rclpy.try_shutdown()
    return {"published": published, "missed": missed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=size_of, required=True)
    parser.add_argument("--rate", type=float, required=True, help="[Hz]")
    parser.add_argument("--encoding", choices=ENCODINGS, default="rgb8")
    parser.add_argument("--depth", action="store_true", help="publish depth and calibration, too")
    parser.add_argument("--block", action="store_true", help="the patch is the top of a block, in depth too")
    arguments = parser.parse_args()
    counts = publish(arguments.size, arguments.rate, arguments.encoding, arguments.depth, arguments.block)
    print(json.dumps(counts), flush=True)
    sys.exit(0)


if __name__ == "__main__":
    main()
