# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What labelling takes: many bags and LeRobot episodes by 1 and 2 workers, against `molmo-ros bag` one by one.

    python -m benchmarks.labelling [--episodes 20] [--frames 20] [--workers 1 2] [--lerobot PYTHON]

Each command is a process of its own, one thread a model, every frame asked about with two queries; rates are of the
time from when a worker has its model. One of two workers is killed in the middle. `--lerobot` names
a Python with LeRobot 0.6 or newer (in an environment of its own: its torch is another), whose reader, validator and
renderer then read the annotated data set; see `benchmarks/lerobot_reading.py`.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.made_recordings import made_episode, write_bag, write_lerobot

QUERIES = ("white mug", "orange cone")
MODULE = (sys.executable, "-m", "molmo_ros.cli.main")
RATE = re.compile(r"asked about in ([\d.]+) s \(([\d.]+) a second\), (\d+) % of .* not the model's, (\d+) MB")


def asked(*options: str) -> list[str]:
    return [word for query in QUERIES for word in ("--query", query)] + ["--rate", "0", *options]


def one_by_one(bags: Path, out: Path) -> tuple[float, float]:
    """`molmo-ros bag` for each: pictures a second of the whole commands, and of what their bars count [1/s]."""
    begun, pictures, milliseconds = time.perf_counter(), 0, 0.0
    for number, bag in enumerate(sorted(bags.iterdir())):
        command = [*MODULE, "bag", str(bag), *asked("--threads", "1", "--out", str(out / f"{number}.mcap"))]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        pictures += int(re.search(r"(\d+) asked about", said)[1])  # type: ignore[index]
        milliseconds += float(re.search(r"(\d+) ms per answer", said)[1])  # type: ignore[index]
    return pictures / (time.perf_counter() - begun), milliseconds / (number + 1)


def label(source: Path, out: Path, workers: int, kill: bool = False) -> dict[str, float]:
    """One run."""
    command = [*MODULE, "label", str(source), *asked("--out", str(out), "--workers", str(workers))]
    begun = time.perf_counter()
    running = subprocess.Popen(
        [*command, "--cpus-per-model", "1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if kill:
        victim = 0
        while not victim and running.poll() is None:
            time.sleep(0.1)
            done = len(list(out.glob("*/episodes/*/*/*/labels.parquet")))
            victim = _worker_of(running.pid) if done >= 4 else 0
        os.kill(victim, signal.SIGKILL)
    said = running.communicate()[0]
    found = RATE.search(said)
    if running.returncode or found is None:
        raise SystemExit(said)
    seconds, rate, rest, memory = map(float, found.groups())
    return {
        "seconds": seconds,
        "rate": rate,
        "rest": rest,
        "memory": memory,
        "all": time.perf_counter() - begun,
    }


def _worker_of(driver: int) -> int:
    """A worker that is at work, below a process."""
    parents, names = {}, {}
    for one in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(one.name)] = int((one / "stat").read_text().rsplit(")", 1)[1].split()[1])
            names[int(one.name)] = (one / "cmdline").read_bytes()
        except OSError:
            continue
    for process, name in names.items():
        above = process
        while above in parents and above != driver:
            above = parents[above]
        if above == driver and name.startswith(b"ray::UnitWorker.label"):
            return process
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--frames", type=int, default=20, help="of each")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--lerobot", metavar="PYTHON", help="reads the annotated data set with LeRobot itself"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="molmo-labelling-") as name:
        folder = Path(name)
        episodes = [made_episode(seed, args.frames) for seed in range(args.episodes)]
        for number, episode in enumerate(episodes):
            write_bag(folder / "bags" / f"{number:02d}", episode)
        write_lerobot(folder / "set", episodes, together=10)
        (folder / "alone").mkdir()
        print(
            f"{args.episodes} bags, {args.episodes} LeRobot episodes, {args.frames} frames each, {len(QUERIES)} queries"
        )
        rate, median = one_by_one(folder / "bags", folder / "alone")
        print(
            "| what | pictures/s | not the model's | MB a worker | command [s] |\n|---|---|---|---|---|",
            flush=True,
        )
        whole = args.episodes * args.frames / rate
        print(
            f"| `molmo-ros bag`, one by one ({median:.0f} ms an answer) | {rate:.1f} | | | {whole:.1f} |",
            flush=True,
        )
        runs = [(kind, count, False) for kind in ("bags", "set") for count in args.workers]
        for kind, count, kill in [*runs, ("bags", 2, True)]:
            one = label(folder / kind, folder / f"out {kind} {count} {kill}", count, kill)
            said = "bags" if kind == "bags" else "LeRobot"
            title = f"`label`, {said}, {count} worker{'s' * (count > 1)}{', one killed' * kill}"
            print(
                f"| {title} | {one['rate']:.1f} | {one['rest']:.0f} % | {one['memory']:.0f} | {one['all']:.1f} |",
                flush=True,
            )
        if args.lerobot:
            (root,) = folder.glob(f"out set {args.workers[-1]} False/*/lerobot/set")
            script = Path(__file__).with_name("lerobot_reading.py")
            subprocess.run([args.lerobot, str(script), str(root), str(folder / "set")], check=True)


if __name__ == "__main__":
    main()
