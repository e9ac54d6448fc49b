# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""At what camera rate does the node begin to lose pictures, and how late are its points at 80 % of it?

    python -m benchmarks.node_throughput [--seconds 4] [--sizes 640x480 ...] [--cases answers tracking] [--json FILE]

As ros2_benchmark does: the rate is searched for first, then the latency is measured at a fixed rate below it. A rate
holds when at least 98 % of the pictures that the camera published come back as points on `~/objects`; it is searched
for by halving between 5 and 90 Hz, to 3 Hz. "answers": a model that answers at once is asked about every picture.
"tracking": it is asked every 10 s, and its point is tracked in between (node_freshness has slow answers). Latency is
from the picture's stamp until its points are received, so with the picture's way into the node. Where the camera itself
misses ticks, the rate is its limit and not the node's.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.node_bench import Bench, Heard, metadata, print_row, report, spread, stamp_of
from benchmarks.node_camera import size_of

SIZES = ((640, 480), (1280, 720), (1920, 1080))
LOWEST, HIGHEST, STEP = 5.0, 90.0, 3.0
"""Rates [Hz]: continuous queries are asked at 100 Hz at most."""
KEPT = 0.98
"""Share of the pictures that have to come back."""
MISSED = 0.02
"""Share of its ticks that a camera may miss."""
LATENCY_AT = 0.8
CASES = {
    "answers": ("instant", {"rate": 100.0, "tracking": False}),
    "tracking": ("patch", {"rate": 0.1, "tracking": True}),
}
SETTLE = 1.0
"""After the first point [s]."""


def passed(bench: Bench, size: tuple[int, int], rate: float, seconds: float) -> tuple[float, bool, Heard]:
    """What share of a camera's pictures comes back, whether the camera kept its rate, and what was heard."""
    from molmo_msgs.msg import ObjectPointArray

    heard = bench.listen(ObjectPointArray, "objects")
    bench.start_camera(size, rate)
    bench.wait(lambda: any(array.points for _, array in heard), "no point comes")
    time.sleep(SETTLE)
    begin = time.time_ns()
    time.sleep(seconds)
    end = time.time_ns()
    counts = bench.stop_camera()
    bench.forget(heard)
    within = Heard(one for one in heard if begin <= stamp_of(one[1]) < end)
    stamps = {stamp_of(array) for _, array in within if array.points}
    missed = counts["missed"] / max(1, counts["missed"] + counts["published"])
    return len(stamps) / ((end - begin) * 1e-9 * rate * (1 - missed)), missed <= MISSED, within


def highest_rate(bench: Bench, size: tuple[int, int], seconds: float, most: float) -> tuple[float, bool]:
    """The highest rate [Hz] that holds, below `most`, and whether the camera's limit ended the search."""
    holds, fails, by_camera = LOWEST, most, False
    while fails - holds > STEP:
        rate = (holds + fails) / 2
        share, kept_up, _ = passed(bench, size, rate, seconds)
        if share >= KEPT and kept_up:
            holds = rate
        else:
            fails, by_camera = rate, not kept_up
    return round(holds, 1), by_camera


def throughput(bench: Bench, size: tuple[int, int], case: str, seconds: float, most: float) -> dict[str, Any]:
    """The figures of one size and case."""
    model, parameters = CASES[case]
    bench.start_node(model, queries=["patch"], use_depth=False, **parameters)
    highest, by_camera = highest_rate(bench, size, seconds, most)
    rate = LATENCY_AT * highest
    share, _, heard = passed(bench, size, rate, 2 * seconds)
    latencies = [(received - stamp_of(array)) * 1e-6 for received, array in heard if array.points]
    return {
        "size": f"{size[0]}x{size[1]}",
        "case": case,
        "highest_hz": highest,
        "limit": "camera" if by_camera else "node",
        "latency_at_hz": round(rate, 1),
        "kept_percent": round(100 * share, 1),
        **spread(latencies, "latency_ms"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="per rate")
    parser.add_argument("--most", type=float, default=HIGHEST, help="highest rate that is tried [Hz]")
    parser.add_argument("--sizes", type=size_of, nargs="+", default=SIZES)
    parser.add_argument("--cases", choices=list(CASES), nargs="+", default=list(CASES))
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with Bench() as bench:
        for size in arguments.sizes:
            for case in arguments.cases:
                rows.append(throughput(bench, size, case, arguments.seconds, arguments.most))
                print_row(rows[-1], first=len(rows) == 1)
        figures = metadata("node_throughput", vars(arguments) | {"json": None})
    report({**figures, "rows": rows}, arguments.json)


if __name__ == "__main__":
    main()
