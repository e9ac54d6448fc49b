# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Evaluates a checkpoint on held-out scenes, through the same pipeline that a robot uses.

`python -m molmo_ros.train.evaluate [MODEL] --scenes 200` renders 640x480 views of scenes that training never saw
and prints a Markdown table. `--kind wide` takes scenes as people build them in simulators of their own, `--kind typed`
what they type first, `--recorded FOLDER` pictures of another renderer.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.pipeline import EncodedImage, Molmo
from molmo_ros.molmo.status import Status
from molmo_ros.sim.renderer import Rendering
from molmo_ros.train.held_out import (
    HELD_OUT,
    HeldOutScene,
    narrow_scenes,
    recorded_scenes,
    typed_scenes,
    wide_scenes,
)
from molmo_ros.train.queries import QueryMaker, SceneQuery, mask_points
from molmo_ros.train.scenes import FIRST_SEED

WHAT = {
    "one": "single object: one point, inside its mask",
    "many": "several objects: every one hit once, nothing else",
    "count": "counting up to five: exact",
    "found": "present or absent, by pointing: right",
    "presence": "present or absent, by a yes/no question: right",
    "color": "colour of a thing: right",
    "shape": "kind of a thing: right",
}
KINDS = {"narrow": narrow_scenes, "wide": wide_scenes, "typed": typed_scenes}
TARGETS = {"one": 0.95, "count": 0.90, "found": 0.95}


@dataclass
class Score:
    """Right answers out of all, and the pixel errors of hits."""

    right: int = 0
    total: int = 0

    def add(self, right: bool) -> None:
        self.right += right
        self.total += 1

    @property
    def share(self) -> float:
        return self.right / max(self.total, 1)


@dataclass
class Evaluation:
    """What came out.

    Attributes:
        scores: By row of `WHAT`.
        by_distance: All rows together, by the distance of the things, rounded down to 0.2 m.
        off: Distances of hits to the mask's centroid [px at 640x480].
        wrong: A line for every wrong answer.
    """

    scores: dict[str, Score] = field(default_factory=lambda: {row: Score() for row in WHAT})
    by_distance: dict[float, Score] = field(default_factory=dict)
    off: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


BAND = 0.2


def hits(answer: Answer, frame: Rendering) -> list[int]:
    """For each point the index of the object whose mask holds it, -1 for none; x, y are continuous pixels."""
    height, width = frame.segmentation.shape
    return [
        int(frame.segmentation[min(int(p.y), height - 1), min(int(p.x), width - 1)]) for p in answer.points
    ]


def ask(model: Molmo, image: EncodedImage, query: SceneQuery) -> Answer:
    """Puts a query the way a user would: pointing through `point`, everything else through `ask`."""
    if query.kind in ("one", "many", "absent"):
        return model.point(image, query.label)
    return model.ask(image, query.prompt)


def judge(query: SceneQuery, answer: Answer, frame: Rendering) -> Iterator[tuple[str, bool]]:
    """The rows of the table that this answer counts for, and whether it is right."""
    found = hits(answer, frame)
    if query.kind in ("one", "many", "absent"):
        yield "found", (answer.status is Status.FOUND) == bool(query.members)
    if query.kind == "one" and len(query.members) == 1:
        yield "one", found == [query.members[0]]
    elif query.kind in ("one", "many") and query.members:
        yield "many", sorted(found) == sorted(query.members)
    elif query.kind == "count" and len(query.members) <= 5:
        claimed = len(answer.points)
        yield (
            "count",
            claimed == len(query.members) and answer.status.success,
        )
    elif query.kind in ("presence", "color", "shape"):
        yield query.kind, answer.text.strip() == query.answer


def evaluate(model: Molmo, scenes: Iterable[HeldOutScene], queries: int, progress: int = 0) -> Evaluation:
    """Asks `queries` questions about each scene; says every `progress` scenes how many are done."""
    result = Evaluation()
    for number, scene in enumerate(scenes, 1):
        points = mask_points(scene.frame.segmentation, len(scene.names))
        maker = QueryMaker(scene.names, points, scene.rng)
        image = model.encode(scene.picture)
        for _ in range(queries):
            query = maker.draw()
            _note(result, scene, query, ask(model, image, query))
        if progress and number % progress == 0:
            print(f"{number} scenes", flush=True)
    return result


def _note(result: Evaluation, scene: HeldOutScene, query: SceneQuery, answer: Answer) -> None:
    """Counts one answer."""
    height, width = scene.frame.segmentation.shape
    for row, right in judge(query, answer, scene.frame):
        result.scores[row].add(right)
        if scene.distance is not None:
            band = round(int(scene.distance / BAND + 1e-6) * BAND, 1)
            result.by_distance.setdefault(band, Score()).add(right)
        if row == "one" and right:
            x, y = query.targets[0] / 1000 * (640, 480)
            point = answer.points[0]
            result.off.append(float(np.hypot(point.x * 640 / width - x, point.y * 480 / height - y)))
        if not right:
            wanted = f"wanted {query.answer!r}, got {answer.text!r}"
            result.wrong.append(f"{scene.name} {row}: {query.prompt!r} {wanted}")


def table(result: Evaluation) -> str:
    """The scores as Markdown."""
    lines = ["| what | right | of | share | wanted |", "|---|---|---|---|---|"]
    for row, what in WHAT.items():
        score = result.scores[row]
        wanted = f"{TARGETS[row]:.0%}" if row in TARGETS else ""
        lines.append(f"| {what} | {score.right} | {score.total} | {score.share:.1%} | {wanted} |")
    if len(result.by_distance) > 1:
        lines += ["", "| distance | right | of | share |", "|---|---|---|---|"]
        for band, score in sorted(result.by_distance.items()):
            share = f"{score.right} | {score.total} | {score.share:.1%}"
            lines.append(f"| {band:.1f} to {band + BAND:.1f} m | {share} |")
    if result.off:
        median, p95 = np.percentile(result.off, (50, 95))
        lines.append(
            f"\nDistance of a hit to the mask's centroid at 640x480: median {median:.1f} px, 95 % {p95:.1f} px."
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="tiny")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--queries", type=int, default=8, help="queries per scene")
    parser.add_argument("--first-seed", type=int, default=HELD_OUT, help="seed of the first scene")
    parser.add_argument("--kind", choices=tuple(KINDS), default="narrow", help="which scenes")
    parser.add_argument("--recorded", type=Path, help="a folder of recorded scenes, taken instead")
    parser.add_argument("--begins", default="", help="how names of the recorded files begin")
    parser.add_argument("--json", type=Path, help="write the scores and every wrong answer here")
    args = parser.parse_args()
    if args.first_seed + args.scenes > FIRST_SEED:
        parser.error(
            f"seeds from {FIRST_SEED} on are training's: take fewer --scenes or a lower --first-seed"
        )
    if args.recorded:
        scenes = recorded_scenes(args.recorded, args.begins)
    else:
        scenes = KINDS[args.kind](args.scenes, args.first_seed)
    result = evaluate(Molmo.from_pretrained(args.model), scenes, args.queries, progress=25)
    print(table(result))
    if args.json:
        shares = {row: {"right": score.right, "of": score.total} for row, score in result.scores.items()}
        args.json.write_text(json.dumps({"scores": shares, "wrong": result.wrong}, indent=1) + "\n")


if __name__ == "__main__":
    main()
