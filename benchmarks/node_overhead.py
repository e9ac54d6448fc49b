"""The node's own overhead: from a picture's arrival in the callback to its points published.

Inference is excluded: the model answers at once with one point. What is left is what the node adds to every
answer: hand-over to the worker's thread, decoding, depth matching, depth window, deprojection, messages,
publishing (pixels, point, points, answer and result, each with a listener in another process).

    python benchmarks/node_overhead.py [--frames 300] [--json]
"""

from __future__ import annotations

import argparse
import array
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
SIZES = ((640, 480), (1920, 1080))
TARGET_MS = {(640, 480): 3.0, (1920, 1080): 10.0}
CASES = (("rgb8", "32FC1"), ("rgb8", "16UC1"), ("bgr8", "16UC1"), ("yuyv", "16UC1"))
LISTENER = "--listen"
PATIENCE = 30
"""How long one answer may take before it is taken as lost [s]."""


class InstantModel:
    """Points at the image's centre without looking."""

    def limit_crops(self, *_limits):
        pass

    def point(self, image, label, **_limits):
        from molmo_ros.molmo.answer import Answer, Point, Status

        height, width = image.shape[:2]
        return Answer(Status.FOUND, "here", (Point(width / 2, height / 2, label),))


def messages(width: int, height: int, picture: str, depth: str):
    """A random picture, its depth and its calibration."""
    from sensor_msgs.msg import CameraInfo, Image

    rng = np.random.default_rng(0)
    channels = 2 if picture == "yuyv" else 3
    pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
    metres = rng.uniform(0.9, 1.1, (height, width)).astype(np.float32)
    values = metres if depth == "32FC1" else (metres * 1000).astype(np.uint16)
    image = Image(width=width, height=height, encoding=picture, step=width * channels)
    image.data = array.array("B", pixels.tobytes())
    far = Image(width=width, height=height, encoding=depth, step=values.strides[0])
    far.data = array.array("B", values.tobytes())
    k = [600.0, 0.0, width / 2, 0.0, 600.0, height / 2, 0.0, 0.0, 1.0]
    info = CameraInfo(width=width, height=height, k=k, d=[0.1, -0.05, 0.0, 0.0, 0.0])
    info.distortion_model = "plumb_bob"
    return image, far, info


def measure(node, width: int, height: int, picture: str, depth: str, frames: int) -> dict:
    """Run frames through the node's callbacks, one at a time, and time each to its last publication."""
    from std_msgs.msg import String

    image, far, info = messages(width, height, picture, depth)
    done = threading.Event()
    publish, statuses = node._result_out.publish, []

    def published(message):
        publish(message)
        statuses.append(message.data)
        done.set()

    node._result_out.publish = published
    node._on_camera_info(info)
    taken = []
    for index in range(frames + 20):
        stamp = node.get_clock().now().to_msg()
        image.header.stamp = far.header.stamp = stamp
        node._on_depth(far)
        done.clear()
        started = time.perf_counter()
        node._on_image(image)
        node._on_query(String(data="thing"))
        if not done.wait(PATIENCE):
            raise RuntimeError(f"no result within {PATIENCE} s; the node's failure: {node.failure}")
        if index >= 20:
            taken.append((time.perf_counter() - started) * 1e3)
        time.sleep(0.002)
    node._result_out.publish = publish
    if not all(json.loads(status)["points"][0]["xyz"] for status in statuses):
        raise RuntimeError(f"a point has no metres: {statuses[-1]}")
    return {
        "size": f"{width}x{height}",
        "picture": picture,
        "depth": depth,
        "median_ms": round(statistics.median(taken), 3),
        "p95_ms": round(sorted(taken)[int(len(taken) * 0.95)], 3),
        "target_ms": TARGET_MS[width, height],
        "frames": frames,
    }


def listen() -> None:
    """Another process that hears all of the node's topics, so that publishing costs what it costs."""
    import rclpy
    from geometry_msgs.msg import PointStamped, PoseArray
    from std_msgs.msg import String

    rclpy.init()
    node = rclpy.create_node("listener")
    kinds = {
        "answer": String,
        "result": String,
        "point": PointStamped,
        "points": PoseArray,
        "pixels": PoseArray,
    }
    for name, kind in kinds.items():
        node.create_subscription(kind, f"/molmo_node/{name}", lambda _: None, 10)
    rclpy.spin(node)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300, help="frames per case (default: 300)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(ROOT / "config" / "fastdds_shm.xml"))

    import rclpy

    from molmo_ros.node.molmo_node import MolmoNode

    rclpy.init()
    node = MolmoNode(lambda *_: (InstantModel(), dict))
    listener = subprocess.Popen([sys.executable, __file__, LISTENER])
    try:
        while not node._result_out.get_subscription_count():
            time.sleep(0.05)
        rows = []
        for width, height in SIZES:
            for picture, depth in CASES:
                rows.append(measure(node, width, height, picture, depth, arguments.frames))
                if not arguments.json:
                    print_row(rows[-1], first=len(rows) == 1)
    finally:
        listener.kill()
        listener.wait()
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()
    if arguments.json:
        machine = {"machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()}
        load = {"load_average": os.getloadavg()[0]}  # on a busy machine the figures measure its scheduler
        print(json.dumps({"benchmark": "node_overhead", **machine, **load, "rows": rows}, indent=2))
    return 0 if all(row["median_ms"] < row["target_ms"] for row in rows) else 1


def print_row(row: dict, *, first: bool) -> None:
    if first:
        print(f"{'size':>10} {'picture':>8} {'depth':>6} {'median':>9} {'p95':>9} {'target':>9}")
    print(
        f"{row['size']:>10} {row['picture']:>8} {row['depth']:>6} {row['median_ms']:>6.2f} ms "
        f"{row['p95_ms']:>6.2f} ms {row['target_ms']:>6.1f} ms",
        flush=True,
    )


if __name__ == "__main__":
    if LISTENER in sys.argv:
        listen()
    else:
        sys.exit(main())
