"""Evaluates a checkpoint on held-out scenes, through the same pipeline that a robot uses.

`python -m molmo_ros.train.evaluate [MODEL] --scenes 200` renders 640x480 views of scenes that training never saw
and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.pipeline import EncodedImage, Molmo
from molmo_ros.molmo.status import Status
from molmo_ros.sim.renderer import Rendering, add_noise, render
from molmo_ros.sim.scene import Scene
from molmo_ros.train.queries import QueryMaker, SceneQuery, mask_points
from molmo_ros.train.scenes import FIRST_SEED

WIDTH, HEIGHT = 640, 480
HELD_OUT = 10_000
"""First evaluation seed; all are below `FIRST_SEED`, where training begins."""

WHAT = {
    "one": "single object: one point, inside its mask",
    "many": "several objects: every one hit once, nothing else",
    "count": "counting up to five: exact",
    "found": "present or absent, by pointing: right",
    "presence": "present or absent, by a yes/no question: right",
    "color": "colour of a thing: right",
    "shape": "kind of a thing: right",
}
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


def evaluate(
    model: Molmo, scenes: int, queries: int, progress: bool = False, first: int = HELD_OUT
) -> tuple[dict[str, Score], list[float], list[str]]:
    """Asks `queries` questions about each of `scenes` held-out scenes.

    Returns:
        Scores by row of `WHAT`, distances of hits to the mask's centroid [px], and a line for every wrong answer.
    """
    scores = {row: Score() for row in WHAT}
    distances: list[float] = []
    wrong = []
    for seed in range(first, first + scenes):
        scene = Scene.random(seed)
        rng = np.random.default_rng(seed)
        frame = render(scene, WIDTH, HEIGHT)
        points = mask_points(frame.segmentation, len(scene.objects))
        maker = QueryMaker([(thing.color, thing.shape) for thing in scene.objects], points, rng)
        image = model.encode(add_noise(frame.rgb, rng))
        for _ in range(queries):
            query = maker.draw()
            answer = ask(model, image, query)
            for row, right in judge(query, answer, frame):
                scores[row].add(right)
                if row == "one" and right:
                    x, y = query.targets[0] / 1000 * (WIDTH, HEIGHT)
                    distances.append(float(np.hypot(answer.points[0].x - x, answer.points[0].y - y)))
                if not right:
                    wrong.append(
                        f"{seed} {row}: {query.prompt!r} wanted {query.answer!r}, got {answer.text!r}"
                    )
        if progress and (seed + 1 - first) % 25 == 0:
            print(f"{seed + 1 - first}/{scenes} scenes", flush=True)
    return scores, distances, wrong


def table(scores: dict[str, Score], distances: list[float]) -> str:
    """The scores as Markdown."""
    lines = ["| what | right | of | share | wanted |", "|---|---|---|---|---|"]
    for row, what in WHAT.items():
        score = scores[row]
        wanted = f"{TARGETS[row]:.0%}" if row in TARGETS else ""
        lines.append(f"| {what} | {score.right} | {score.total} | {score.share:.1%} | {wanted} |")
    if distances:
        median, p95 = np.percentile(distances, (50, 95))
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
    parser.add_argument("--json", type=Path, help="write the scores and every wrong answer here")
    args = parser.parse_args()
    if args.first_seed + args.scenes > FIRST_SEED:
        parser.error(
            f"seeds from {FIRST_SEED} on are training's: take fewer --scenes or a lower --first-seed"
        )
    scores, distances, wrong = evaluate(
        Molmo.from_pretrained(args.model), args.scenes, args.queries, True, args.first_seed
    )
    print(table(scores, distances))
    if args.json:
        shares = {row: {"right": score.right, "of": score.total} for row, score in scores.items()}
        args.json.write_text(json.dumps({"scores": shares, "wrong": wrong}, indent=1) + "\n")


if __name__ == "__main__":
    main()
