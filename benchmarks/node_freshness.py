# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How old, how frequent and how right are the points that the node publishes, with and without tracking?

    python -m benchmarks.node_freshness [--seconds 15] [--sizes 640x480 1280x720] [--answer-times 0.5 1 2] [--json FILE]

A camera at 30 Hz sees a patch that goes in a circle, a quarter of the image's height from its middle, once in 10 s. A
model that takes 0.5, 1 or 2 s per answer finds it exactly; a continuous query asks as fast as it can. Of each
ObjectPointArray on `~/objects`: the age of its picture when it was published [s], and how far its point is from where
the patch was in that picture (`error_px`), and from where it is when the message is received (`error_now_px`) [px].
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

from benchmarks.moving_patch import MovingPatch
from benchmarks.node_bench import Bench, Heard, metadata, print_row, report, seconds_of, spread, stamp_of
from benchmarks.node_camera import size_of

RATE = 30.0


def freshness(
    bench: Bench, size: tuple[int, int], answer_time: float, *, tracking: bool, seconds: float
) -> dict[str, Any]:
    """The figures of one case, measured over so many seconds after the first answers."""
    from molmo_msgs.msg import ObjectPointArray

    bench.start_node(
        "patch", answer_time=answer_time, queries=["patch"], rate=100.0, tracking=tracking, use_depth=False
    )
    bench.start_camera(size, RATE)
    heard = bench.listen(ObjectPointArray, "objects")
    bench.wait(lambda: any(array.points for _, array in heard), "no point comes")
    time.sleep(2 * answer_time)
    heard.clear()
    time.sleep(seconds)
    arrays = Heard(heard)
    bench.forget(heard)
    bench.stop_camera()
    return {
        "size": f"{size[0]}x{size[1]}",
        "answer_s": answer_time,
        "tracking": "on" if tracking else "off",
        **figures_of(arrays, MovingPatch(*size), seconds),
    }


def figures_of(heard: Heard, truth: MovingPatch, seconds: float) -> dict[str, Any]:
    """Rate, age and errors of the points heard in so many seconds."""
    ages, errors, errors_now = [], [], []
    for received, array in heard:
        for point in array.points[:1]:
            here = point.pixel.x, point.pixel.y
            ages.append(seconds_of(array.frame_age))
            errors.append(math.dist(here, truth.center(stamp_of(array))))
            errors_now.append(math.dist(here, truth.center(received)))
    return {
        "hz": round(len(ages) / seconds, 2),
        "lost": sum(not array.points for _, array in heard),
        **spread(ages, "age_s"),
        **spread(errors, "error_px"),
        **spread(errors_now, "error_now_px"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="per case")
    parser.add_argument("--sizes", type=size_of, nargs="+", default=[(640, 480), (1280, 720)])
    parser.add_argument("--answer-times", type=float, nargs="+", default=[0.5, 1.0, 2.0], help="[s]")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with Bench() as bench:
        for size in arguments.sizes:
            for answer_time in arguments.answer_times:
                for tracking in (False, True):
                    rows.append(
                        freshness(bench, size, answer_time, tracking=tracking, seconds=arguments.seconds)
                    )
                    print_row(rows[-1], first=len(rows) == 1)
        figures = metadata("node_freshness", vars(arguments) | {"json": None})
    report({**figures, "rows": rows}, arguments.json)


if __name__ == "__main__":
    main()
