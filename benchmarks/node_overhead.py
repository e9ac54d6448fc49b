# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The node's own overhead per mode, image size and encoding, inference excluded: the model answers at once.

    python -m benchmarks.node_overhead [--answers 30] [--sizes 640x480 ...] [--encodings rgb8 ...] [--json FILE]

A camera with depth at 10 Hz, the node, and a listener, each in a process of its own. One query at a time, by topic,
service, action or continuous:

node   From the arrival of picture and query in the node, whichever came last, until everything about the answer was
       published: hand-over to the worker, decoding, depth, deprojection, messages [ms]. Its target is 3 ms at 640x480
       and 10 ms at 1920x1080 for raw pictures.
cpu    The processor's time of the worker's thread in that, which other processes do not lengthen [ms].
whole  What somebody outside waits: from the query until its result is received; of continuous queries from the
       picture's stamp, so with the picture's way into the node [ms].

`listeners` are those of point, points, pixels and result, or also of the markers and the annotated image ("all").
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.node_bench import NODE, PATIENCE, Bench, Heard, metadata, print_row, report, spread, stamp_of
from benchmarks.node_camera import ENCODINGS, size_of

SIZES = ((640, 480), (1280, 720), (1920, 1080))
TARGET_MS = {(640, 480): 3.0, (1920, 1080): 10.0}
CAMERA_RATE = 10.0
WARM_UP = 5
PAUSE = 0.02
"""Between an answer and the next query [s]."""
MODES = ("topic", "service", "action", "continuous")


class Asker:
    """Asks one query at a time, in each mode, and listens to what comes of it."""

    def __init__(self, bench: Bench) -> None:
        from geometry_msgs.msg import PointStamped, PoseArray
        from molmo_msgs.action import Query
        from molmo_msgs.msg import ObjectPointArray
        from molmo_msgs.srv import Point
        from rclpy.action import ActionClient
        from std_msgs.msg import Float64MultiArray, String

        self._bench = bench
        self._query = bench.node.create_publisher(String, "query", 10)
        self._service = bench.node.create_client(Point, f"{NODE}/point_at")
        self._action = ActionClient(bench.node, Query, f"{NODE}/query")
        self._text, self._call, self._goal = (
            String(data="thing"),
            Point.Request(labels=["thing"]),
            Query.Goal(labels=["thing"]),
        )
        self._service.wait_for_service(PATIENCE)
        self._action.wait_for_server(PATIENCE)
        self._spent = bench.listen(Float64MultiArray, "spent")
        self._results = bench.listen(ObjectPointArray, "result")
        for name, kind in (("point", PointStamped), ("points", PoseArray), ("pixels", PoseArray)):
            bench.listen(kind, name)
        self._shake_hands()

    def _shake_hands(self) -> None:
        """Until the node has a picture with depth and hears this process."""
        deadline = time.monotonic() + PATIENCE
        while not any(array.points and array.points[0].has_position for _, array in self._results):
            if time.monotonic() > deadline:
                raise RuntimeError(f"no point comes; the last result: {self._results[-1:]}")
            self._query.publish(self._text)
            time.sleep(0.3)

    def measure(self, mode: str, answers: int) -> dict[str, list[float]]:
        """`node`, `cpu` and `whole` of so many answers [ms].

        Raises:
            RuntimeError: An answer does not come, or has no place in space.
        """
        ask: Callable[[], Any] = {
            "topic": lambda: self._query.publish(self._text),
            "service": lambda: self._bench.result(self._service.call_async(self._call)),
            "action": self._send_goal,
            "continuous": lambda: None,
        }[mode]
        taken: dict[str, list[float]] = {"node": [], "cpu": [], "whole": []}
        for index in range(WARM_UP + answers):
            self._spent.clear()
            self._results.clear()
            began = time.time_ns()
            ask()
            asked = time.time_ns()
            self._bench.wait(lambda: bool(self._results and self._spent), f"no answer by {mode}")
            received, array = self._results[0]
            if index >= WARM_UP:
                if not array.points or not array.points[0].has_position:
                    raise RuntimeError(f"{array.status}, without a place: {array.reason}")
                end = {"topic": received, "continuous": received}.get(mode, asked)
                begin = stamp_of(array) if mode == "continuous" else began
                node, cpu = self._spent[0][1].data
                for name, value in (("node", node), ("cpu", cpu), ("whole", (end - begin) * 1e-6)):
                    taken[name].append(value)
            if mode != "continuous":
                time.sleep(PAUSE)
        return taken

    def _send_goal(self) -> None:
        handle = self._bench.result(self._action.send_goal_async(self._goal))
        self._bench.result(handle.get_result_async())


def listen_to_pictures(bench: Bench) -> list[Heard]:
    """Listen to what is drawn, too."""
    from sensor_msgs.msg import Image
    from visualization_msgs.msg import MarkerArray

    return [bench.listen(Image, "annotated"), bench.listen(MarkerArray, "markers")]


def rows_of(bench: Bench, size: tuple[int, int], encoding: str, answers: int) -> list[dict[str, Any]]:
    """A row per mode and listeners, with a node of its own."""
    transport = "compressed" if encoding == "jpeg" else "raw"
    bench.start_node("instant", image_transport=transport, rate=100.0, max_frame_age=10.0)
    bench.start_camera(size, CAMERA_RATE, encoding, depth=True)
    asker, rows = Asker(bench), []
    for mode in MODES:
        bench.set_parameter("queries", ["thing" if mode == "continuous" else ""])
        for listeners in ("points", "all"):
            drawn = listen_to_pictures(bench) if listeners == "all" else []
            taken = asker.measure(mode, answers)
            for heard in drawn:
                bench.forget(heard)
            rows.append(
                {
                    "size": f"{size[0]}x{size[1]}",
                    "encoding": encoding,
                    "mode": mode,
                    "listeners": listeners,
                    **spread(taken["node"], "node_ms"),
                    "cpu_ms_median": spread(taken["cpu"], "cpu_ms")["cpu_ms_median"],
                    **spread(taken["whole"], "whole_ms"),
                }
            )
    bench.stop_camera()
    return rows


def too_slow(row: dict[str, Any]) -> bool:
    """Whether a row misses its target."""
    target = TARGET_MS.get(size_of(row["size"]), float("inf"))
    return row["encoding"] != "jpeg" and row["listeners"] == "points" and row["node_ms_median"] >= target


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--answers", type=int, default=30, help="per case")
    parser.add_argument("--sizes", type=size_of, nargs="+", default=SIZES)
    parser.add_argument("--encodings", choices=ENCODINGS, nargs="+", default=ENCODINGS)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for size in arguments.sizes:
        for encoding in arguments.encodings:
            with Bench() as bench:
                for row in rows_of(bench, size, encoding, arguments.answers):
                    rows.append(row)
                    print_row(row, first=len(rows) == 1)
                figures = metadata("node_overhead", vars(arguments) | {"json": None})
    report({**figures, "rows": rows}, arguments.json)
    slow = [row for row in rows if too_slow(row)]
    for row in slow:
        print(f"slower than its target: {row}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
