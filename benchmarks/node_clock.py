# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a simulator's clock costs the node: time of the processor, in percent of one core.

    python -m benchmarks.node_clock [--seconds 20] [--rates 250 1000] [--json FILE]

Another process sends `/clock` as ros_gz_bridge does, reliable, at each of these rates [Hz]. The node is active, has no
camera, and nobody asks it anything. `cost_percent` is what is above the first row, the node with the system's time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.node_bench import ROOT, Bench, metadata, print_row, report
from benchmarks.node_cpu import use_row


def send_clock(rate: float) -> None:
    """Send times at that rate [Hz] until the process is ended."""
    import rclpy
    from builtin_interfaces.msg import Time
    from rosgraph_msgs.msg import Clock

    rclpy.init()
    node = rclpy.create_node("ros_gz_bridge")
    out = node.create_publisher(Clock, "/clock", 10)
    start, sent = time.monotonic(), 0
    while rclpy.ok():
        sent += 1
        seconds = sent / rate
        out.publish(Clock(clock=Time(sec=int(seconds), nanosec=int(seconds % 1 * 1e9))))
        time.sleep(max(0.0, start + seconds - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="per rate")
    parser.add_argument("--rates", type=float, nargs="+", default=[250.0, 1000.0], help="[Hz]")
    parser.add_argument("--send", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    if arguments.send:
        send_clock(arguments.send)
        return
    rows: list[dict[str, Any]] = []
    with Bench() as bench:
        for rate in (None, *arguments.rates):
            if rate is None or len(rows) == 1:
                bench.start_node("instant", use_sim_time=rate is not None)
            command = [sys.executable, "-m", "benchmarks.node_clock", "--send", str(rate)]
            sender = subprocess.Popen(command, cwd=ROOT) if rate else None
            try:
                row = use_row(bench, f"/clock at {rate:g} Hz" if rate else "the system's", arguments.seconds)
            finally:
                if sender:
                    sender.terminate()
                    sender.wait()
            idle = rows[0]["cpu_percent"] if rows else row["cpu_percent"]
            rows.append(row | {"cost_percent": round(row["cpu_percent"] - idle, 1)})
            print_row(rows[-1], first=len(rows) == 1)
        figures = metadata("node_clock", vars(arguments) | {"json": None})
    report({**figures, "rows": rows}, arguments.json)


if __name__ == "__main__":
    main()
