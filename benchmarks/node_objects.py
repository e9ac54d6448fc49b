# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Do points still come at the camera's rate while the object at each is looked for, and how fast do the objects follow?

    python -m benchmarks.node_objects [--seconds 15] [--size 640x480] [--listeners all] [--json FILE]

A camera at 30 Hz with depth sees a block that goes in a circle over a table; a model that takes 1 s per answer finds
it, and tracking follows it. Listeners: of points alone; of the objects; of the objects and grasps; of all that is made
of them. Of each case: rates of `~/objects` and `~/object_regions`, ages of their pictures when they were received, how
long the search took, how many of the blocks were found, and the node's time of the processor in percent of one core.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.node_bench import Bench, Heard, metadata, print_row, report, seconds_of, spread, stamp_of
from benchmarks.node_camera import size_of
from benchmarks.process_use import ProcessUse

RATE = 30.0
ANSWER = 1.0
"""[s]"""


def objects_row(bench: Bench, case: str, topics: dict[str, type], seconds: float) -> dict[str, Any]:
    """The figures of one case, whose listeners are those of the topics."""
    from molmo_msgs.msg import ObjectPointArray

    points = bench.listen(ObjectPointArray, "objects")
    others = {name: bench.listen(kind, name) for name, kind in topics.items()}
    bench.wait(lambda: any(array.tracked and array.points for _, array in points), "no point comes")
    if others:
        bench.wait(lambda: all(others.values()), "no object comes")
    time.sleep(2 * ANSWER)
    for heard in (points, *others.values()):
        heard.clear()
    before = ProcessUse.of(bench.node_pid)
    time.sleep(seconds)
    cpu = 100 * (ProcessUse.of(bench.node_pid).cpu - before.cpu) / seconds
    told, objects = list(points), list(others.get("object_regions", []))
    for heard in (points, *others.values()):
        bench.forget(heard)
    stages: dict[str, list[float]] = {"regions": [], "grasps": []}
    for _, array in objects:
        for timing in array.timings:
            if timing.stage in stages:
                stages[timing.stage].append(1e3 * seconds_of(timing.duration))
    found = [point.region_valid for _, array in objects for point in array.points]
    return {
        "listeners": case,
        "points_hz": round(len(told) / seconds, 1),
        **spread(_ages(told), "points_age_s"),
        "objects_hz": round(len(objects) / seconds, 1),
        **spread(_ages(objects), "objects_age_s"),
        "found": round(sum(found) / len(found), 3) if found else float("nan"),
        **spread(stages["regions"], "regions_ms"),
        **spread(stages["grasps"], "grasps_ms"),
        "cpu_percent": round(cpu, 1),
    }


def _ages(heard: Heard | list[tuple[int, Any]]) -> list[float]:
    """How old the pictures were when their messages came [s]."""
    return [(received - stamp_of(array)) * 1e-9 for received, array in heard]


def cases() -> dict[str, dict[str, type]]:
    """The topics that are listened to, beside the points."""
    from molmo_msgs.msg import GraspArray, ObjectPointArray
    from sensor_msgs.msg import Image, PointCloud2
    from visualization_msgs.msg import MarkerArray

    objects = {"object_regions": ObjectPointArray}
    grasps = {"grasps": GraspArray}
    shown = {"regions": Image, "clouds": PointCloud2, "markers": MarkerArray, "annotated": Image}
    return {
        "points": {},
        "objects": objects,
        "objects and grasps": objects | grasps,
        "all": objects | grasps | shown,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="per case")
    parser.add_argument("--size", type=size_of, default=(640, 480))
    parser.add_argument("--listeners", nargs="+", default=[], metavar="CASE", help="only these cases")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with Bench() as bench:
        bench.start_node(
            "patch",
            answer_time=ANSWER,
            queries=["patch"],
            rate=100.0,
            tracking=True,
            max_frame_age=5.0,
        )
        bench.start_camera(arguments.size, RATE, depth=True, block=True)
        for case, topics in cases().items():
            if arguments.listeners and case not in arguments.listeners:
                continue
            rows.append(objects_row(bench, case, topics, arguments.seconds))
            print_row(rows[-1], first=len(rows) == 1)
        figures = metadata("node_objects", vars(arguments) | {"json": None})
    report({**figures, "rows": rows}, arguments.json)


if __name__ == "__main__":
    main()
