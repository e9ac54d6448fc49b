# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Measures the tracking of points between answers, on simulated tables that a moving camera sees with sensor noise.

    python -m benchmarks.tracking [--scenes 48] [--sizes 320x240 640x480] [--repeats 15] [--json FILE]

Accuracy: in every scene a point is started inside every object and followed for 2 s at 15 Hz along a random path
(0.1 to 0.3 m/s, up to 30 degrees/s). The truth is the object's surface point, projected into the later view and tested
against its depth. Errors are of points that truly show, in shares of the image's width; wrong are reported points that
lie on another object, beside are those on the table or the floor. Survivors are the points that show at the end and
are still followed. "passing" adds something that passes in front of an object in the middle of the time. The same
with plain Lucas-Kanade (a window about the point, forward-backward check) shows what the tracker's parts are for.

Time: a step with the reduction of the camera's image to the tracker's grey one, and catching up with 1 s of frames; the
medians of wall time, one thread of OpenCV.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.occluder import Occluder
from benchmarks.surface_points import SurfacePoints
from molmo_ros.sim.camera_path import CameraPath
from molmo_ros.sim.renderer import Rendering, add_noise, render
from molmo_ros.sim.scene import Camera, Scene
from molmo_ros.tracking import GrayFrame, PointTracker, Track, TrackedPoint, catch_up

FIRST_SEED = 20_000
RATE = 15
SECONDS = 2
COUNTS = (1, 10, 100, 1000)
TIMED_SIZES = ((640, 480), (1280, 720))


@dataclass
class TrackingScore:
    """What became of all points that were followed."""

    points: int = 0
    reports: int = 0
    wrong: int = 0
    beside: int = 0
    show_at_end: int = 0
    survivors: int = 0
    errors: list[float] = field(default_factory=list)
    """Shares of the image's width."""
    last_errors: list[float] = field(default_factory=list)
    """The same at the end only."""
    losses: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        """The figures of the table; shares in percent."""
        return {
            "points": self.points,
            "reports": self.reports,
            "median_error": _percent(np.median(self.errors)),
            "p90_error": _percent(np.percentile(self.errors, 90)),
            "median_error_at_end": _percent(np.median(self.last_errors)),
            "wrong_object": _percent(self.wrong / self.reports),
            "beside": _percent(self.beside / self.reports),
            "survivors": _percent(self.survivors / self.show_at_end),
            "losses": dict(self.losses.most_common()),
        }


def _percent(share: float) -> float:
    return round(100 * float(share), 2)


class PlainLucasKanade:
    """The usual way: each point's own window, followed there and back."""

    def start(self, frame: GrayFrame, points: Sequence[TrackedPoint]) -> list[Track]:
        self._frame = frame
        self._tracks = [Track(n + 1, point.x, point.y, point.label) for n, point in enumerate(points)]
        return self._tracks

    def step(self, frame: GrayFrame) -> list[Track]:
        before, self._frame = self._frame, frame
        if not self._tracks:
            return []
        xy = np.array([(track.x, track.y) for track in self._tracks])
        start = before.to_index(xy).astype(np.float32)
        there, found, _ = cv2.calcOpticalFlowPyrLK(before.pixels, frame.pixels, start, start.copy())
        back, _, _ = cv2.calcOpticalFlowPyrLK(frame.pixels, before.pixels, there, there.copy())
        pixels = frame.to_original(there)
        good = (found[:, 0] == 1) & (np.linalg.norm(back - start, axis=1) < 1)
        good &= (pixels >= 0).all(axis=1) & (pixels < frame.size).all(axis=1)
        moved = zip(self._tracks, pixels.tolist(), good, strict=True)
        self._tracks = [replace(track, x=x, y=y) for track, (x, y), kept in moved if kept]
        return self._tracks


TRACKERS: tuple[tuple[str, Callable[[], Any], int], ...] = (
    ("ours", PointTracker, 1),
    ("ours, every other frame", PointTracker, 2),
    ("plain LK", PlainLucasKanade, 1),
)


def views(seed: int, width: int, height: int) -> Iterator[tuple[float, Rendering, Camera]]:
    """Time [s], noisy frame and camera of a scene along a random path."""
    rng = np.random.default_rng(seed)
    scene = Scene.random(seed)
    path = CameraPath.random(scene.camera, rng)
    for count in range(RATE * SECONDS + 1):
        scene.camera = path.at(count / RATE)
        frame = render(scene, width, height)
        yield count / RATE, replace(frame, rgb=add_noise(frame.rgb, rng)), scene.camera


def passed_by(
    frames: Sequence[tuple[float, Rendering, Camera]], seed: int
) -> list[tuple[float, Rendering, Camera]]:
    """The same views, with something that passes in front of a random object after 1 s; not yet in the first."""
    rng = np.random.default_rng(seed)
    _, first, camera = frames[0]
    targets = SurfacePoints.inside_objects(first, camera).pixels
    occluder = Occluder.random(targets[rng.integers(len(targets))], SECONDS / 2, first.rgb.shape[1], rng)
    passed = [(at, occluder.before(frame, at, rng), camera) for at, frame, camera in frames[1:]]
    return [frames[0], *passed]


def judge(frames: Sequence[tuple[float, Rendering, Camera]], tracker: Any, outcome: TrackingScore) -> None:
    """Follows a point in every object from the first frame on, and adds to the outcome what became of them."""
    (_, first, camera), *later = frames
    truth = SurfacePoints.inside_objects(first, camera)
    points = [
        TrackedPoint(x, y, str(label)) for (x, y), label in zip(truth.pixels, truth.objects, strict=True)
    ]
    row_of = {
        track.id: row for row, track in enumerate(tracker.start(GrayFrame.from_image(0, first.rgb), points))
    }
    outcome.points += len(points)
    for at, frame, camera in later:
        view = truth.seen_in(frame, camera)
        height, width = frame.depth.shape
        at_end = frame is later[-1][1]
        outcome.show_at_end += int(view.visible.sum()) if at_end else 0
        for track in tracker.step(GrayFrame.from_image(round(at * 1e9), frame.rgb)):
            row = row_of[track.id]
            if track.lost:
                outcome.losses[track.lost.name] += 1
                continue
            outcome.reports += 1
            seen = frame.segmentation[min(int(track.y), height - 1), min(int(track.x), width - 1)]
            outcome.beside += int(seen < 0)
            outcome.wrong += int(seen >= 0 and seen != truth.objects[row])
            if view.visible[row]:
                error = float(np.hypot(*(view.pixels[row] - (track.x, track.y)))) / width
                outcome.errors.append(error)
                if at_end:
                    outcome.last_errors.append(error)
                    outcome.survivors += 1


def accuracy(scenes: int, sizes: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """A row per size, scene kind and tracker."""
    rows = []
    for width, height in sizes:
        outcomes: dict[tuple[str, str], TrackingScore] = {}
        for seed in range(FIRST_SEED, FIRST_SEED + scenes):
            frames = list(views(seed, width, height))
            for kind, shown in (("free", frames), ("passing", passed_by(frames, seed))):
                for name, make, stride in TRACKERS:
                    judge(shown[::stride], make(), outcomes.setdefault((kind, name), TrackingScore()))
        for (kind, name), outcome in outcomes.items():
            rows.append({"size": f"{width}x{height}", "view": kind, "tracker": name, **outcome.summary()})
    return rows


def timing(repeats: int) -> list[dict[str, Any]]:
    """A row per size and number of points [ms]: a start, a step, and catching up with 1 s of frames."""
    return [
        timing_row(frames, count, repeats)
        for size in TIMED_SIZES
        for frames in [[frame.rgb for _, frame, _ in itertools.islice(views(FIRST_SEED, *size), RATE + 1)]]
        for count in COUNTS
    ]


def timing_row(frames: Sequence[np.ndarray], count: int, repeats: int) -> dict[str, Any]:
    """Times for so many points in these frames, uint8 [h, w, 3]."""
    height, width = frames[0].shape[:2]
    grays = [GrayFrame.from_image(n, frame) for n, frame in enumerate(frames)]
    points = _spread_points(count, width, height)
    tracker = PointTracker()
    starts, steps, followed = [], [], 0
    for _ in range(max(1, repeats // RATE)):
        starts.append(_milliseconds(lambda: tracker.start(GrayFrame.from_image(0, frames[0]), points)))
        for frame in frames[1:]:
            followed += len(tracker.tracks)
            steps.append(_milliseconds(lambda frame=frame: tracker.step(GrayFrame.from_image(0, frame))))
    row: dict[str, Any] = {"size": f"{width}x{height}", "points": count, "followed": followed / len(steps)}
    row["reduce_ms"] = statistics.median(
        _milliseconds(lambda: GrayFrame.from_image(0, frames[0])) for _ in range(repeats)
    )
    row |= {"start_ms": statistics.median(starts), "step_ms": statistics.median(steps)}
    for stride in (1, 2):
        caught = (_milliseconds(lambda stride=stride: catch_up(grays, points, stride)) for _ in range(3))
        row[f"catch_up_{stride}_ms"] = statistics.median(caught)
    return row


def _spread_points(count: int, width: int, height: int) -> list[TrackedPoint]:
    """Points all over the image's middle, so that many of them have something to hold on to."""
    rng = np.random.default_rng(0)
    places = rng.uniform((0.15 * width, 0.15 * height), (0.85 * width, 0.85 * height), (count, 2))
    return [TrackedPoint(x, y) for x, y in places.tolist()]


def _milliseconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1e3


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    columns = [name for name in rows[0] if name != "losses"]
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        cells = (f"{row[name]:.2f}" if isinstance(row[name], float) else str(row[name]) for name in columns)
        print("| " + " | ".join(cells) + " |", flush=True)
    print()


def _size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=48)
    parser.add_argument("--sizes", type=_size, nargs="*", default=[(320, 240), (640, 480)])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    times = timing(arguments.repeats)
    _print_table(times)
    rows = accuracy(arguments.scenes, arguments.sizes)
    if rows:
        _print_table(rows)
        for row in rows:
            print(row["size"], row["view"], row["tracker"], "lost:", row["losses"])
    if arguments.json:
        machine = {"machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()}
        versions = {"opencv": cv2.__version__, "numpy": np.__version__}
        load = {"load_average": os.getloadavg()[0]}  # on a busy machine the times measure its scheduler
        figures = {"benchmark": "tracking", **machine, **versions, **load, "accuracy": rows, "timing": times}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
