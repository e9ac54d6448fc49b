# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the node costs while nobody asks it anything: time of the processor, in percent of one core, and threads.

    python -m benchmarks.node_cpu [--seconds 20] [--size 1280x720] [--json FILE]

Without a camera; with a camera at 30 Hz; the same with depth; and with points tracked in every picture, the continuous
query answered every 2 s. Over the whole of the node's process, children of its threads included.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.node_bench import Bench, metadata, print_row, report
from benchmarks.node_camera import size_of
from benchmarks.process_use import ProcessUse

RATE = 30.0
SETTLE = 3.0
"""[s]"""


def use_row(bench: Bench, case: str, seconds: float) -> dict[str, Any]:
    """What the node uses over so many seconds, once it has settled."""
    time.sleep(SETTLE)
    before, began = ProcessUse.of(bench.node_pid), time.monotonic()
    time.sleep(seconds)
    after = ProcessUse.of(bench.node_pid)
    return {
        "case": case,
        "cpu_percent": round(100 * (after.cpu - before.cpu) / (time.monotonic() - began), 1),
        "threads": after.threads,
        "rss_mb": round(after.rss, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="per case")
    parser.add_argument("--size", type=size_of, default=(1280, 720))
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []

    def measure(case: str) -> None:
        rows.append(use_row(bench, case, arguments.seconds))
        print_row(rows[-1], first=len(rows) == 1)

    with Bench() as bench:
        bench.start_node("patch", answer_time=2.0, max_frame_age=5.0)
        measure("no camera")
        bench.start_camera(arguments.size, RATE)
        measure("camera at 30 Hz")
        bench.start_camera(arguments.size, RATE, depth=True)
        measure("camera and depth at 30 Hz")
        bench.set_parameter("tracking", True)
        bench.set_parameter("queries", ["patch"])
        measure("tracking at 30 Hz")
        figures = metadata("node_cpu", vars(arguments) | {"json": None})
    report({**figures, "rows": rows}, arguments.json)


if __name__ == "__main__":
    main()
