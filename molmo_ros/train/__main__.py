# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`python -m molmo_ros.train`: renders the scenes, trains, and evaluates; may be stopped and started again."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import torch

from molmo_ros.train.evaluate import KINDS
from molmo_ros.train.trainer import TrainingRun, further_stages, stages


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m molmo_ros.train", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Path("training"), help="where scenes, state and log are kept"
    )
    parser.add_argument("--shards", type=int, default=26, help="shards of 1000 scenes")
    parser.add_argument("--tower-steps", type=int, default=500)
    parser.add_argument("--text-steps", type=int, default=4400)
    parser.add_argument(
        "--start", type=Path, help="a trained checkpoint to go on from, instead of from nothing"
    )
    parser.add_argument("--further-steps", type=int, default=1850, help="steps from --start on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenes", type=int, default=200, help="held-out scenes of the evaluation")
    args = parser.parse_args()
    here = [sys.executable, "-m"]
    subprocess.run(
        [*here, "molmo_ros.train.scenes", str(args.folder / "scenes"), "--shards", str(args.shards)],
        check=True,
    )
    torch.set_num_threads(1)
    run = TrainingRun(args.folder, args.seed, args.start)
    fresh = args.start is None
    for stage in stages(args.tower_steps, args.text_steps) if fresh else further_stages(args.further_steps):
        run.train(stage, save_every=100)
    for kind in KINDS:
        asked = [str(args.folder / "checkpoint"), "--scenes", str(args.scenes), "--kind", kind]
        subprocess.run([*here, "molmo_ros.train.evaluate", *asked], check=True)


if __name__ == "__main__":
    main()
