# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs picks on random tables: exit code 0 where at least nine of ten that can be gripped are lifted.

Everything it starts is a separate process that talks over DDS; what it writes is named at the end.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from molmo_ros.demo.processes import (
    SEGMENT,
    Child,
    interrupts_wait,
    run_to_the_end,
    shortage,
    wait_for,
)

if TYPE_CHECKING:
    from molmo_ros.pick.pick_report import PickCase

BAR = 0.9
FILMED = 4
"""How many picks are filmed: the first ones."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m molmo_ros.pick", description=__doc__)
    parser.add_argument("--scenes", type=int, default=100, help="how many tables (default: 100)")
    parser.add_argument("--seed", type=int, default=1000, help="of the first table (default: 1000)")
    parser.add_argument(
        "--bar", type=float, default=BAR, help=f"least share that is lifted, 0 to 1 (default: {BAR})"
    )
    parser.add_argument(
        "--model", default="tiny", help="embedded checkpoint or checkpoint folder (default: tiny)"
    )
    parser.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    parser.add_argument(
        "--output", type=Path, default=Path("pick_output"), help="folder (default: pick_output)"
    )
    args = parser.parse_args()
    if args.seed < 0:
        parser.error("--seed must not be negative")
    if args.scenes < 1:
        parser.error("--scenes must be at least 1")
    if not 0 <= args.bar <= 1:
        parser.error("--bar must be from 0 to 1")
    return run_to_the_end("pick", "table, node and planner", lambda: run(args))


def run(args: argparse.Namespace) -> int:
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - start:5.1f} s] {text}", flush=True)

    logs = args.output / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for old in args.output.glob("[0-9][0-9][0-9]_*.png"):
        old.unlink()
    if reason := shortage(needed=4 * SEGMENT):
        say(f"warning: {reason}")

    with ExitStack() as stack:

        def launch(name: str, module: str, *parameters: str) -> Child:
            arguments = ["--ros-args", *(part for parameter in parameters for part in ("-p", parameter))]
            child = Child(name, module, arguments, logs / f"{name}.log")
            stack.callback(child.stop)
            say(f"started the {name} (pid {child.pid}, log {child.log})")
            return child

        children = (
            launch("table", "molmo_ros.pick.table_node", f"seed:={args.seed}"),
            launch("node", "molmo_ros.node.process", f"model:={args.model}", f"device:={args.device}"),
            launch("planner", "molmo_ros.pick.planner_node"),
        )
        with interrupts_wait():
            from molmo_ros.demo.recording import Recording
            from molmo_ros.pick import pick_report
            from molmo_ros.pick.film import write_gif
            from molmo_ros.pick.pick_verdict import Cause
            from molmo_ros.pick.referee import Referee
            from molmo_ros.pick.trial import run_pick

        recording = stack.enter_context(Recording(args.output / "recording"))
        referee = Referee(recording.write)
        stack.callback(referee.close)
        wait_for(say, "the camera's first picture", lambda: referee.frames_seen() > 0, children)
        wait_for(say, "the node and the planner", referee.all_listen, children)
        print(f"\n{pick_report.HEADER}\n{'-' * len(pick_report.HEADER)}", flush=True)
        cases: list[PickCase] = []
        films = []
        for number in range(1, args.scenes + 1):
            for child in children:
                child.check()
            case, frames = run_pick(referee, args.seed + number - 1, number <= FILMED, args.output, number)
            cases.append(case)
            films.append(frames)
            print(pick_report.row(number, case), flush=True)
        for child in children:
            child.check()
    # Leaving the block has stopped the children and closed the recording.
    write_gif(args.output / "pick.gif", [frames for frames in films if frames])
    within, share = pick_report.counted(cases), pick_report.share(cases)
    parts = (
        pick_report.results(cases),
        pick_report.shapes(cases),
        pick_report.reasons(cases),
        pick_report.beyond(cases),
    )
    print("\n" + "\n\n".join(part for part in parts if part))
    print(
        f"\nwritten to {args.output}: a picture of each pick, pick.gif, {recording.path.relative_to(args.output)}"
    )
    print("The .mcap file opens in Foxglove (Open local file) and other robotics viewers.")
    passed = share >= args.bar
    lifted = sum(case.verdict.cause is Cause.LIFTED for case in within)
    say(f"{lifted} of {len(within)} lifted; the bar is {args.bar:.0%}: {'passed' if passed else 'FAILED'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
