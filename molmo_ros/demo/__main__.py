# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs the demo: exit code 0 where at least nine of ten queries are right.

Everything it starts is a separate process that talks over DDS; what it writes is named at the end.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from molmo_ros.demo.processes import Child, interrupts_wait, run_to_the_end, shortage, wait_for

PASS_SHARE = 0.9
QUERY_TIMEOUT = 60.0
PICTURE_TIMEOUT = 5.0
WARM_UP = "is there a table?"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m molmo_ros.demo", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=7, help="first scene; other seeds ask other things (default: 7)"
    )
    parser.add_argument(
        "--model", default="tiny", help="embedded checkpoint or checkpoint folder (default: tiny)"
    )
    parser.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    parser.add_argument(
        "--output", type=Path, default=Path("demo_output"), help="folder (default: demo_output)"
    )
    parser.add_argument("--rate", type=float, default=10.0, help="camera frames per second (default: 10)")
    args = parser.parse_args()
    if args.seed < 0:
        parser.error("--seed must not be negative")
    return run_to_the_end("demo", "camera and node", lambda: run(args))


def run(args: argparse.Namespace) -> int:
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - start:5.1f} s] {text}", flush=True)

    logs = args.output / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for old in args.output.glob("[0-9][0-9]_*.png"):
        old.unlink()

    if reason := shortage():
        say(f"warning: {reason}")

    with ExitStack() as stack:

        def launch(name: str, module: str, *parameters: str) -> Child:
            arguments = ["--ros-args", *(part for parameter in parameters for part in ("-p", parameter))]
            child = Child(name, module, arguments, logs / f"{name}.log")
            stack.callback(child.stop)
            say(f"started the {name} (pid {child.pid}, log {child.log})")
            return child

        camera = launch("camera", "molmo_ros.sim.camera_node", f"seed:={args.seed}", f"rate:={args.rate}")
        node = launch("node", "molmo_ros.node.process", f"model:={args.model}", f"device:={args.device}")
        children = (camera, node)

        with interrupts_wait():
            from molmo_ros.demo import report
            from molmo_ros.demo.judge import Verdict, judge
            from molmo_ros.demo.plan import make_plan
            from molmo_ros.demo.recording import Recording
            from molmo_ros.demo.user import User

        say("planning queries from the scenes' ground truth")
        plan = make_plan(args.seed)
        recording = stack.enter_context(Recording(args.output / "recording"))
        user = User(recording.write)
        stack.callback(user.close)

        wait_for(say, "the camera's first frame", lambda: user.frames_seen() > 0, children)
        wait_for(say, "the node", user.node_listens, children)
        user.ask(WARM_UP)
        wait_for(say, "the node to load its model and answer once", user.answered, children)

        print(f"\n{report.HEADER}\n{'-' * len(report.HEADER)}", flush=True)
        verdicts: list[Verdict] = []
        pictures: list[Path] = []
        shown = None
        for number, case in enumerate(plan, 1):
            for child in children:
                child.check()
            if case.seed != shown:
                user.show_scene(case.seed, timeout=20.0)
                shown = case.seed
            user.ask_case(case)
            result = user.result(QUERY_TIMEOUT)
            verdict = judge(case, result)
            verdicts.append(verdict)
            print(report.row(number, case, result, verdict), flush=True)
            if result is not None and (picture := user.picture(result, PICTURE_TIMEOUT)) is not None:
                pictures.append(report.save(args.output, number, case, picture))
            if case.way == "action":
                print(report.stream(user.pieces()), flush=True)
        for child in children:
            child.check()
    # Leaving the block has stopped the children and closed the recording.
    right = sum(verdict.right for verdict in verdicts)
    passed = right >= PASS_SHARE * len(verdicts)
    print(f"\n{report.summary(verdicts)}\n\nwritten:")
    for path in (*pictures, recording.path):
        print(f"  {path}")
    print("The .mcap file opens in Foxglove (Open local file) and other robotics viewers.")
    say("demo passed" if passed else f"demo FAILED: fewer than {PASS_SHARE:.0%} of the queries are right")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
