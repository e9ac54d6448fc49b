# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What `check_camera` says about cameras with one thing wrong each, as a table in Markdown.

    python -m benchmarks.check_camera [--seconds 8] [--faults default_k reset ...]

The camera and the check are processes of their own; `benchmarks/broken_camera.py` says what each fault is. A row names
every finding by which the check fails.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.broken_camera import FAULTS, SIMULATED
from molmo_ros.node.fast_dds import installed_fast_dds

ROOT = Path(__file__).parents[1]
LONGEST = 300
"""Of a cell's texts [characters]."""
OTHER_ARGUMENTS: dict[str, list[str]] = {
    "fastdds_defaults": [],
    "wrong_topic": ["image:=/camera/image_raw"],
    "wrong_target": ["target_frame:=base_link"],
}
"""Faults that are in the arguments or the environment: the camera has none."""


@dataclass(frozen=True)
class Checked:
    """What a check said.

    Attributes:
        code: Its exit code.
        text: Its report.
        seconds: How long it took [s].
        errors: What it wrote on stderr.
    """

    code: int
    text: str
    seconds: float
    errors: str = ""

    @property
    def findings(self) -> list[tuple[str, str, str, str]]:
        """Grade, subject, text and change of each."""
        pattern = r"^(WRONG|WARNING|NOTE) (\w+)(?: of \w+)?: (.*)\n  change: (.*)$"
        return [(m[1], m[2], m[3], m[4]) for m in re.finditer(pattern, self.text, re.MULTILINE)]


def arguments(fault: str) -> list[str]:
    """How a user would ask, who has not noticed the fault."""
    topics = [
        "image:=/camera/image",
        "depth:=/camera/depth_image",
        "camera_info:=/camera/camera_info",
    ]
    if fault in SIMULATED and fault != "no_sim_time":
        topics.append("use_sim_time:=true")
    return topics + OTHER_ARGUMENTS.get(fault, [])


def check(
    fault: str,
    seconds: float,
    given: Sequence[str] | None = None,
    domain: int | None = None,
    patience: float = 120.0,
) -> Checked:
    """Start the camera, and check it.

    Args:
        fault: One of `FAULTS` or `OTHER_ARGUMENTS`.
        seconds: How long the check looks [s].
        given: Its arguments; None: those of `arguments`.
        domain: The ROS domain of both; None: that of this process.
        patience: How long the check may take [s].
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    environment.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    environment.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    environment.setdefault(installed_fast_dds().profile_variable, str(ROOT / "config" / "fastdds_shm.xml"))
    if domain is not None:
        environment["ROS_DOMAIN_ID"] = str(domain)
    if fault == "fastdds_defaults":
        del environment[installed_fast_dds().profile_variable]
    play = [sys.executable, "-m", "benchmarks.broken_camera", "--fault", fault if fault in FAULTS else "none"]
    camera = subprocess.Popen(play, cwd=ROOT, env=environment)
    began = time.monotonic()
    try:
        time.sleep(1.0)
        command = [sys.executable, "-m", "molmo_ros.check.check_process", f"--seconds={seconds}"]
        command += arguments(fault) if given is None else list(given)
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=patience, check=False
        )
    finally:
        camera.terminate()
        camera.wait(20)
    return Checked(done.returncode, done.stdout, time.monotonic() - began, done.stderr)


def _cell(text: str) -> str:
    """A text in a table, cut where it is long."""
    return html.escape(text if len(text) <= LONGEST else f"{text[:LONGEST]}...", quote=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each check looks [s]")
    parser.add_argument("--faults", nargs="*", default=[*FAULTS, *OTHER_ARGUMENTS])
    parser.add_argument("--verbose", action="store_true", help="print the reports, too")
    options = parser.parse_args()
    what = FAULTS | {
        "fastdds_defaults": "FastDDS' own profile",
        "wrong_topic": "another topic's name for the pictures",
        "wrong_target": "a target_frame that TF does not know",
    }
    print("| what is wrong | exit code | what it said | the line to change |\n|---|---|---|---|")
    for fault in options.faults:
        checked = check(fault, options.seconds)
        if options.verbose:
            print(checked.text, checked.errors, file=sys.stderr)
        counting = [one for one in checked.findings if one[0] != "NOTE"]
        said = "<br>".join(_cell(f"{grade} {subject}: {text}") for grade, subject, text, _ in counting)
        change = "<br>".join(_cell(change) for *_, change in counting)
        print(f"| {what[fault]} | {checked.code} | {said or 'nothing is wrong'} | {change} |", flush=True)


if __name__ == "__main__":
    main()
