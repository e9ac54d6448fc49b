# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Minutes of everything at once: does the node's process grow, and does it ever answer about an old picture?

    python -m benchmarks.node_soak [--minutes 10] [--size 1280x720] [--model tiny] [--json FILE]

A camera at 30 Hz with depth and a continuous query with tracking. In the first quarter of a minute also one service
call per second and one action goal per 3 s, every other one of which is cancelled: more than the model can answer,
which takes 2 s each, so the queue fills up and is worked off in the rest of the minute. With --model it is a real one.

Some 40 times: resident memory, threads, open files. Growth is the slope of a line through the second half of the
memory's course. An answer is stale when its picture was older than `max_frame_age` when the work on it started.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.node_bench import NODE, Bench, metadata, print_row, report, seconds_of, spread
from benchmarks.node_camera import size_of
from benchmarks.process_use import ProcessUse

RATE = 30.0
MAX_FRAME_AGE = 1.0
SAMPLES = 40
CALL_EVERY, GOAL_EVERY, CANCEL_AFTER = 1.0, 3.0, 0.7
"""[s]"""
ASKING = 0.25
"""Share of every minute."""


class Clients:
    """Calls the service and sends goals, in threads of their own, and counts what comes of it.

    Attributes:
        statuses: How often each status came, by mode.
        cancel_times: From asking for the cancellation to the goal's result [s].
        unanswered: Calls and goals that are still open.
    """

    def __init__(self, bench: Bench) -> None:
        from molmo_msgs.action import Query
        from molmo_msgs.srv import Point
        from rclpy.action import ActionClient

        self._bench = bench
        self._service = bench.node.create_client(Point, f"{NODE}/point_at")
        self._action = ActionClient(bench.node, Query, f"{NODE}/query")
        self._call, self._goal = Point.Request(labels=["patch"]), Query.Goal(labels=["patch"])
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self.statuses: Counter[str] = Counter()
        self.cancel_times: list[float] = []
        self.unanswered = 0
        if not (self._service.wait_for_service(60.0) and self._action.wait_for_server(60.0)):
            raise RuntimeError("the node offers no service or no action")
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._calls, self._goals)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more, and wait for what is open."""
        self._stop.set()
        for thread in self._threads:
            thread.join(10.0)
        deadline = time.monotonic() + 60.0
        while self.unanswered and time.monotonic() < deadline:
            time.sleep(0.1)

    def _asking(self) -> bool:
        return (time.monotonic() - self._began) % 60 < 60 * ASKING

    def _calls(self) -> None:
        while not self._stop.wait(CALL_EVERY):
            if not self._asking():
                continue
            with self._lock:
                self.unanswered += 1
            future = self._service.call_async(self._call)
            future.add_done_callback(lambda done: self._count("service", done.result().result.status))

    def _goals(self) -> None:
        cancelling = False
        while not self._stop.wait(GOAL_EVERY):
            if not self._asking():
                continue
            with self._lock:
                self.unanswered += 1
            handle = self._bench.result(self._action.send_goal_async(self._goal))
            asked: list[float] = []
            handle.get_result_async().add_done_callback(lambda done, asked=asked: self._ended(done, asked))
            cancelling = not cancelling
            if cancelling:
                self._stop.wait(CANCEL_AFTER)
                asked.append(time.monotonic())
                handle.cancel_goal_async()

    def _ended(self, done: Any, asked: list[float]) -> None:
        status = done.result().result.result.status
        if asked and status == "CANCELLED":
            self.cancel_times.append(time.monotonic() - asked[0])
        self._count("action", status)

    def _count(self, mode: str, status: str) -> None:
        with self._lock:
            self.unanswered -= 1
            self.statuses[f"{mode} {status}"] += 1


class Answers:
    """Watches the results, without keeping them."""

    def __init__(self, bench: Bench) -> None:
        from molmo_msgs.msg import ObjectPointArray

        self.statuses: Counter[str] = Counter()
        self.start_ages: list[float] = []
        self.tracked = self.stale = 0
        for topic, callback in (("result", self._on_result), ("objects", self._on_objects)):
            bench.node.create_subscription(ObjectPointArray, f"{NODE}/{topic}", callback, 1000)

    def _on_result(self, array: Any) -> None:
        self.statuses[f"{array.source} {array.status}"] += 1
        if array.points or array.text:
            age = seconds_of(array.start_age)
            self.start_ages.append(age)
            self.stale += age > MAX_FRAME_AGE

    def _on_objects(self, array: Any) -> None:
        self.tracked += bool(array.tracked and array.points)


def soak(bench: Bench, seconds: float) -> list[dict[str, Any]]:
    """Samples of the process over so many seconds; prints each."""
    rows: list[dict[str, Any]] = []
    began, before = time.monotonic(), ProcessUse.of(bench.node_pid)
    interval = seconds / SAMPLES
    while len(rows) < SAMPLES:
        time.sleep(max(0.0, began + (len(rows) + 1) * interval - time.monotonic()))
        use = ProcessUse.of(bench.node_pid)
        row = {
            "minute": round((time.monotonic() - began) / 60, 3),
            "rss_mb": round(use.rss, 1),
            "threads": use.threads,
            "files": use.files,
            "cpu_percent": round(100 * (use.cpu - before.cpu) / interval, 1),
        }
        before = use
        rows.append(row)
        print_row(row, first=len(rows) == 1)
    return rows


def slope(rows: list[dict[str, Any]]) -> float:
    """Growth of the memory over the second half [MB/min], by least squares."""
    half = rows[len(rows) // 2 :]
    return float(np.polyfit([row["minute"] for row in half], [row["rss_mb"] for row in half], 1)[0])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--size", type=size_of, default=(1280, 720))
    parser.add_argument("--answer-time", type=float, default=2.0, help="of the model without weights [s]")
    parser.add_argument("--model", help="a real model, such as tiny")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    parameters = {"queries": ["patch"], "rate": 2.0, "tracking": True, "max_frame_age": MAX_FRAME_AGE}
    with Bench() as bench:
        if arguments.model:
            bench.start_node("real", model=arguments.model, **parameters)
        else:
            bench.start_node("patch", answer_time=arguments.answer_time, **parameters)
        bench.start_camera(arguments.size, RATE, depth=True)
        answers = Answers(bench)
        bench.wait(lambda: bool(answers.start_ages), "no answer about a picture comes")
        clients = Clients(bench)
        rows = soak(bench, arguments.minutes * 60)
        tracked = answers.tracked
        clients.stop()
        camera = bench.stop_camera()
        summary = {
            "slope_mb_per_min": round(slope(rows), 3),
            "rss_mb_first_and_last": (rows[0]["rss_mb"], rows[-1]["rss_mb"]),
            "threads_at_most": max(row["threads"] for row in rows),
            "files_first_and_last": (rows[0]["files"], rows[-1]["files"]),
            "stale_answers": answers.stale,
            **spread(answers.start_ages, "start_age_s"),
            "tracked_hz": round(tracked / (arguments.minutes * 60), 1),
            **spread(clients.cancel_times, "cancel_s"),
            "unanswered": clients.unanswered,
            "results": dict(answers.statuses),
            "clients": dict(clients.statuses),
            "camera": camera,
        }
        figures = metadata("node_soak", vars(arguments) | {"json": None, "node": parameters})
    print()
    for name, value in summary.items():
        print(f"{name}: {value}")
    report({**figures, **summary, "samples": rows}, arguments.json)
    return 0 if not summary["stale_answers"] and not summary["unanswered"] else 1


if __name__ == "__main__":
    sys.exit(main())
