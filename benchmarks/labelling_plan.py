# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From what was measured to many episodes: machines, days, storage, and what limits.

    python -m benchmarks.labelling_plan [--episodes 1000000] [--seconds 10] [--fps 30] [--cameras 2] [--rate 1]
        [--points 2] [--model-ms 420] [--unit-ms 15] [--table-ms 3] [--row-bytes 30] [--days 7]

CPU time of reading and following a 640x480 frame is measured here and now (of this process, so other programs do not
count); what the model takes is given, as `molmo-ros models --device` computes it or as it was measured, and so is what
`benchmarks.labelling_overhead` prints of each unit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.made_recordings import write_video
from molmo_ros.labelling.point_follower import PointFollower
from molmo_ros.labelling.video_frames import video_frames
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import Scene
from molmo_ros.tracking import GrayFrame, TrackedPoint

WIDTH, HEIGHT, FRAMES = 640, 480, 90
POINTS = 4
"""That are followed while a frame is timed."""


def frame_costs(fps: int) -> dict[str, float]:
    """CPU time of a frame [s]: read with all others, read alone (a second apart), and followed into."""
    seen = render(Scene.random(0), WIDTH + FRAMES, HEIGHT).rgb
    frames = np.stack([seen[:, n : n + WIDTH] for n in range(FRAMES)])
    cv2.setNumThreads(1)
    costs = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_video(path, frames, fps)
        for name, times in (
            ("read", [n / fps for n in range(FRAMES)]),
            ("alone", [float(n) for n in range(FRAMES // fps)] * 1),
        ):
            begun = time.process_time()
            count = sum(one.pixels is not None for one in video_frames(path, times, 1e-3))
            costs[name] = (time.process_time() - begun) / max(1, count)
    follower, points = PointFollower(), [TrackedPoint(x, 240.0, "x") for x in np.linspace(150, 490, POINTS)]
    grey = GrayFrame.from_image(0, frames[0])
    follower.step(grey)
    follower.begin(0, grey, points)
    begun = time.process_time()
    for number, frame in enumerate(frames[1:]):
        follower.step(GrayFrame.from_image(number, frame))
    costs["track"] = (time.process_time() - begun) / (FRAMES - 1)
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default, what in (
        ("episodes", 1e6, "how many"),
        ("seconds", 10.0, "of each"),
        ("fps", 30.0, "frames a second"),
        ("cameras", 2.0, "of each episode"),
        ("rate", 1.0, "frames asked about in a second of a camera"),
        ("points", 2.0, "found in a frame by all queries"),
        ("model-ms", 420.0, "of the model for a frame and all queries"),
        ("unit-ms", 15.0, "over the model, for each unit"),
        ("table-ms", 3.0, "of the driver for each unit, in the table"),
        ("row-bytes", 30.0, "of the table for a row"),
        ("days", 7.0, "that it may take"),
    ):
        parser.add_argument(f"--{name}", type=float, default=default, help=f"{what} (default: {default:g})")
    args = parser.parse_args()
    costs = frame_costs(round(args.fps))
    units = args.episodes * args.cameras
    asked = units * (args.seconds * args.rate)
    frames = units * args.seconds * args.fps
    print(
        f"a 640x480 frame on one core: {costs['read'] * 1e3:.1f} ms read in order, {costs['alone'] * 1e3:.1f} ms "
        f"read alone, {costs['track'] * 1e3:.1f} ms to follow {POINTS} points into it"
    )
    print(f"{units:.3g} units, {asked:.3g} frames asked about, {frames:.3g} in all\n")
    print("| | without `--track` | with |\n|---|---|---|")
    over = units * args.unit_ms * 1e-3
    model = asked * args.model_ms * 1e-3
    beside = {False: asked * costs["alone"] + over, True: frames * (costs["read"] + costs["track"]) + over}
    rows = {False: asked * args.points, True: frames * args.points}
    day, columns = 86400.0, (False, True)
    for title, cells in (
        ("the model [GPU days]", [f"{model / day:.0f}" for _ in columns]),
        ("reading and following [core days]", [f"{beside[one] / day:.0f}" for one in columns]),
        (
            "share of a worker's time that is not the model's",
            [f"{100 * beside[one] / (beside[one] + model):.0f} %" for one in columns],
        ),
        (
            f"workers for {args.days:g} days",
            [f"{np.ceil((model + beside[one]) / day / args.days):.0f}" for one in columns],
        ),
        ("rows of the table", [f"{rows[one]:.2g}" for one in columns]),
        ("the table [GB]", [f"{rows[one] * args.row_bytes / 1e9:.0f}" for one in columns]),
        (
            "the driver's table at the end [h]",
            [f"{units * args.table_ms * 1e-3 / 3600:.1f}" for _ in columns],
        ),
        ("units a second that the driver moves", [f"{units / (args.days * day):.1f}" for _ in columns]),
    ):
        print(f"| {title} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
