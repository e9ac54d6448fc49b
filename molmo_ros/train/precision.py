# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a number format does to answers: the same held-out scenes and queries in each, next to float32.

`python -m molmo_ros.train.precision [MODEL] --scenes 500 --device cpu` prints a Markdown table. Scenes and queries are
those of `molmo_ros.train.evaluate` with the same numbers.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from molmo_ros.engine.quality import drift
from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.dtypes import DTYPE_BYTES
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.sim.renderer import Rendering, add_noise, render
from molmo_ros.sim.scene import Scene
from molmo_ros.train.evaluate import WHAT, Score, ask, judge
from molmo_ros.train.held_out import HEIGHT, HELD_OUT, WIDTH
from molmo_ros.train.queries import QueryMaker, SceneQuery, mask_points
from molmo_ros.train.scenes import FIRST_SEED

REFERENCE = "float32"
FORMATS = tuple(DTYPE_BYTES)


@dataclass
class Agreement:
    """How a format's answers compare with the reference's, and with the truth.

    Attributes:
        answers: How many were compared.
        identical: Of those, with the same text in as many tokens.
        with_points: Answers of the reference that hold points.
        same_number: Of those, with as many points here.
        drifts: For every point of those, how far it moved [px].
        scores: Right answers by row of `evaluate.WHAT`.
        encode_ms, answer_ms: Wall time of each image, and of each answer after that [ms].
    """

    answers: int = 0
    identical: int = 0
    with_points: int = 0
    same_number: int = 0
    drifts: list[float] = field(default_factory=list)
    scores: dict[str, Score] = field(default_factory=lambda: {row: Score() for row in WHAT})
    encode_ms: list[float] = field(default_factory=list)
    answer_ms: list[float] = field(default_factory=list)

    def add(self, query: SceneQuery, answer: Answer, reference: Answer, frame: Rendering) -> None:
        """Counts one answer in."""
        self.answers += 1
        self.identical += (answer.text, answer.tokens) == (reference.text, reference.tokens)
        if reference.points:
            self.with_points += 1
            if len(answer.points) == len(reference.points):
                self.same_number += 1
                self.drifts += drift(reference.points, answer.points)
        for row, right in judge(query, answer, frame):
            self.scores[row].add(right)
        self.answer_ms.append(answer.timing_ms["total"])


def scenes_with_queries(
    seeds: Sequence[int], queries: int
) -> Iterator[tuple[Rendering, np.ndarray, list[SceneQuery]]]:
    """For each seed the rendered truth, the picture with noise (uint8 RGB [h, w, 3]), and what is asked."""
    for seed in seeds:
        scene, rng = Scene.random(seed), np.random.default_rng(seed)
        frame = render(scene, WIDTH, HEIGHT)
        points = mask_points(frame.segmentation, len(scene.objects))
        maker = QueryMaker([(thing.color, thing.shape) for thing in scene.objects], points, rng)
        picture = add_noise(frame.rgb, rng)
        yield frame, picture, [maker.draw() for _ in range(queries)]


def compare(
    models: Mapping[str, Molmo], seeds: Sequence[int], queries: int, progress: bool = False
) -> dict[str, Agreement]:
    """Asks every model the same; the first one is the reference of all.

    Args:
        models: By format.
        seeds: Of the scenes.
        queries: Per scene.
        progress: Whether to print a line now and then.
    """
    results = {name: Agreement() for name in models}
    for done, (frame, picture, asked) in enumerate(scenes_with_queries(seeds, queries), 1):
        references: list[Answer] = []
        for name, model in models.items():
            image = model.encode(picture)
            results[name].encode_ms.append(sum(image.timing_ms.values()))
            answers = [ask(model, image, query) for query in asked]
            references = references or answers
            for query, answer, reference in zip(asked, answers, references, strict=True):
                results[name].add(query, answer, reference, frame)
        if progress and done % 25 == 0:
            print(f"{done}/{len(seeds)} scenes", flush=True)
    return results


def table(results: Mapping[str, Agreement]) -> str:
    """The results as Markdown."""
    rows: dict[str, list[str]] = {
        "answers identical": [_share(one.identical, one.answers) for one in results.values()],
        "as many points": [_share(one.same_number, one.with_points) for one in results.values()],
    }
    for what, percentile in (("median", 50), ("95 %", 95), ("largest", 100)):
        rows[f"drift of a point, {what} [px]"] = [
            f"{np.percentile(one.drifts, percentile):.2f}" if one.drifts else "-" for one in results.values()
        ]
    for row, what in WHAT.items():
        rows[what] = [_share(one.scores[row].right, one.scores[row].total) for one in results.values()]
    for what in ("encode_ms", "answer_ms"):
        name = {"encode_ms": "an image, median [ms]", "answer_ms": "an answer about it, median [ms]"}[what]
        rows[name] = [f"{statistics.median(getattr(one, what)):.1f}" for one in results.values()]
    lines = [f"| | {' | '.join(results)} |", "|---" * (len(results) + 1) + "|"]
    return "\n".join(lines + [f"| {what} | {' | '.join(cells)} |" for what, cells in rows.items()])


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%} of {whole}" if whole else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="tiny")
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--queries", type=int, default=8, help="queries per scene")
    parser.add_argument("--first-seed", type=int, default=HELD_OUT, help="seed of the first scene")
    parser.add_argument("--device", default="cpu", help="torch device: cpu, cuda, cuda:1")
    parser.add_argument("--json", type=Path, help="write every number here")
    args = parser.parse_args()
    if args.first_seed + args.scenes > FIRST_SEED:
        parser.error(
            f"seeds from {FIRST_SEED} on are training's: take fewer --scenes or a lower --first-seed"
        )
    models = {name: Molmo.from_pretrained(args.model, device=args.device, dtype=name) for name in FORMATS}
    seeds = range(args.first_seed, args.first_seed + args.scenes)
    results = compare(models, seeds, args.queries, progress=True)
    print(table(results))
    if args.json:
        numbers = {name: asdict(result) for name, result in results.items()}
        args.json.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
