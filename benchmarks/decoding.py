# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How many passes answers of the embedded model take, and how long: plain, with guesses, and several together.

    python -m benchmarks.decoding [--engine torch] [--scenes 40] [--seed 83000] [--threads 1]

Everything in one process, on the same weights, words and frames, in turns; medians. Beside it transformers' own Molmo2,
plain and with its own guesses (prompt look-up). All must say the same, token for token, before anything is timed.

* First questions: each label is asked once about each scene.
* A camera that moves at 0.1 to 0.3 m/s: the same labels about the frame 0.5 s and 0.1 s later.
* The same with each answer's points followed from frame to frame (10 Hz), as the node does with `tracking`.
* A still camera: the same labels about the next frame, with other noise.
* 1, 2, 4, 8 and 16 labels about one frame, asked together, each for the first time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch
from transformers import Molmo2ForConditionalGeneration
from transformers.utils import logging

from molmo_ros.engine.load import load_molmo
from molmo_ros.molmo.answer import Answer, Asked
from molmo_ros.molmo.answers.encoded_image import EncodedImage
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.catalog.model_store import checkpoint_folder
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.pointing.moved_points import Move
from molmo_ros.molmo.prompts.prompt_text import count_prompt
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.sim.camera_path import CameraPath
from molmo_ros.sim.objects import COLORS, SHAPES
from molmo_ros.sim.renderer import add_noise, render
from molmo_ros.sim.scene import SENSOR, Scene
from molmo_ros.tracking import GrayFrame, TrackedPoint, catch_up

LABELS = 4
"""Of each scene, at most."""
NOISE = 2.0
"""Standard deviation of the sensor's noise [grey levels]."""
TOGETHER = (1, 2, 4, 8, 16)
PLAIN, GUESSED = GenerateOptions(drafts=False), GenerateOptions()
MAX_NEW_TOKENS = 64


class TransformersModel:
    """transformers' model behind our image processor and prompt, so that only the model differs."""

    def __init__(self, ours: Molmo, folder: str):
        logging.set_verbosity_error()
        self.ours = ours
        self.model = Molmo2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def answer(self, image, text: str, guesses: int | None = None) -> str:
        processed = self.ours.image_processor(image)
        prefix = self.ours.prompts.prefix([processed])
        query = self.ours.prompts.query(text, len(prefix))
        ids = torch.from_numpy(np.concatenate([prefix.ids, query]))
        kinds = torch.zeros_like(ids)
        kinds[: len(prefix)] = torch.from_numpy(prefix.is_image).long()
        output = self.model.generate(
            input_ids=ids[None],
            attention_mask=torch.ones_like(ids)[None],
            mm_token_type_ids=kinds[None],
            pixel_values=torch.from_numpy(processed.crops),
            image_token_pooling=torch.from_numpy(processed.pooling),
            image_grids=torch.tensor([[*processed.low_res_grid, *processed.high_res_grid]]),
            image_num_crops=torch.tensor([len(processed.crops)]),
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=False,
            eos_token_id=sorted(self.ours.tokenizer.eos_ids),
            pad_token_id=0,
            prompt_lookup_num_tokens=guesses,
        )
        new = output[0, len(ids) :].tolist()
        return self.ours.tokenizer.decode([t for t in new if t not in self.ours.tokenizer.eos_ids]).strip()


@dataclass
class AnswerTally:
    """Answers of one kind, plain and with guesses."""

    tokens: int = 0
    passes: int = 0
    answers: int = 0
    plain_ms: list[float] = field(default_factory=list)
    guessed_ms: list[float] = field(default_factory=list)

    def row(self, name: str) -> str:
        per_pass, ratio = self.tokens / self.passes, sum(self.plain_ms) / sum(self.guessed_ms)
        return (
            f"| {name} | {self.tokens / self.answers:.1f} | {self.passes / self.answers:.1f} | {per_pass:.1f} "
            f"| {statistics.median(self.plain_ms):.1f} | {statistics.median(self.guessed_ms):.1f} | {ratio:.2f} |"
        )


def timed(call: Callable[[], list[Answer]]) -> tuple[list[Answer], float]:
    started = time.perf_counter()
    answers = call()
    return answers, (time.perf_counter() - started) * 1e3


def ask(
    molmo: Molmo,
    encoded: EncodedImage,
    labels: Iterable[str],
    options: GenerateOptions,
    moves: Sequence[Move] = (),
) -> list[Answer]:
    queries = [ImageQuery(asked=Asked.POINTS, label=label, options=options, moves=moves) for label in labels]
    answers = []
    for outcome in molmo.answers(encoded, queries):
        if isinstance(outcome, Exception):
            raise outcome
        answers.append(outcome)
    return answers


def same(found: list[Answer], expected: list[Answer]) -> None:
    for one, other in zip(found, expected, strict=True):
        if one.text != other.text:
            raise SystemExit(f"guesses have changed an answer: {one.text!r}, was {other.text!r}")


def compare(
    molmo: Molmo,
    image: np.ndarray,
    view: str,
    labels: list[str],
    tally: AnswerTally,
    moves: Mapping[str, Sequence[Move]] = MappingProxyType({}),
) -> dict[str, Answer]:
    """Each label alone, plain and with guesses, about the same features; gives the answers."""
    encoded = molmo.encode(image, view=view)
    ask(molmo, encoded, ["thing"], PLAIN)  # the image's own prefill is no part of it
    answers = {}
    for label in labels:
        plain, plain_ms = timed(lambda label=label: ask(molmo, encoded, [label], PLAIN))
        guessed, guessed_ms = timed(
            lambda label=label: ask(molmo, encoded, [label], GUESSED, moves.get(label, ()))
        )
        same(guessed, plain)
        tally.plain_ms.append(plain_ms)
        tally.guessed_ms.append(guessed_ms)
        tally.tokens += guessed[0].tokens + 1  # and the one that ends it
        tally.passes += guessed[0].passes
        tally.answers += 1
        answers[label] = guessed[0]
    return answers


def followed(pictures: Sequence[np.ndarray], answers: Mapping[str, Answer]) -> dict[str, list[Move]]:
    """Where the points of answers about the first picture are in the last one, by the tracker of the node."""
    frames = [GrayFrame.from_image(number, picture) for number, picture in enumerate(pictures)]
    moves = {}
    for label, answer in answers.items():
        _, tracks = catch_up(frames, [TrackedPoint(one.x, one.y) for one in answer.points])
        pairs = zip(answer.points, tracks, strict=True)
        moves[label] = [((one.x, one.y), (track.x, track.y)) for one, track in pairs if not track.lost]
    return moves


def of_guesses(molmo: Molmo, seeds: range) -> dict[str, AnswerTally]:
    names = "first question", "moving camera, 0.5 s later", "moving camera, 0.1 s later", "still camera"
    tallies = {name: AnswerTally() for name in names}
    for name in names[1:3]:
        tallies[f"{name}, followed"] = AnswerTally()
    for seed in seeds:
        scene, rng = Scene.random(seed), np.random.default_rng(seed)
        labels = sorted({thing.name for thing in scene.objects})[:LABELS]
        path = CameraPath.random(scene.camera, rng)
        seen = []
        for moment in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
            scene.camera = path.at(moment)
            seen.append(render(scene, *SENSOR).rgb)
        noisy = [add_noise(picture, rng, NOISE) for picture in seen]
        for name, picture in zip(
            names, (noisy[0], noisy[5], noisy[6], add_noise(seen[6], rng, NOISE)), strict=True
        ):
            compare(molmo, picture, str(seed), labels, tallies[name])
        view = f"{seed} followed"
        answers = compare(molmo, noisy[0], view, labels, AnswerTally())
        for name, pictures in zip(names[1:3], (noisy[:6], noisy[5:7]), strict=True):
            moves = followed(pictures, answers)
            answers = compare(molmo, pictures[-1], view, labels, tallies[f"{name}, followed"], moves)
    return tallies


def of_packs(molmo: Molmo, seeds: range) -> list[tuple[int, float, float, float]]:
    """For each number of labels: time plain and with guesses [ms], and passes of those with guesses."""
    names = [f"{color} {shape}" for color in COLORS for shape in SHAPES]
    found: dict[int, list[tuple[float, float, int]]] = {count: [] for count in TOGETHER}
    for seed in seeds:
        scene, rng = Scene.random(seed), np.random.default_rng(seed)
        there, frame = sorted({thing.name for thing in scene.objects}), render(scene, *SENSOR)
        for count in TOGETHER:
            half = there[: (count + 1) // 2]  # the others stand nowhere, or may
            labels = [*half, *rng.choice(names, count - len(half), replace=False)]
            encoded = molmo.encode(frame.rgb, view=f"{seed} {count}")
            alone = [ask(molmo, encoded, [label], PLAIN)[0] for label in labels]
            plain, plain_ms = timed(lambda: ask(molmo, encoded, labels, PLAIN))  # noqa: B023
            guessed, guessed_ms = timed(lambda: ask(molmo, encoded, labels, GUESSED))  # noqa: B023
            same(plain, alone)
            same(guessed, alone)
            found[count].append((plain_ms, guessed_ms, max(one.passes for one in guessed)))
    return [
        (count, *(statistics.median(column) for column in zip(*rows, strict=True)))
        for count, rows in found.items()
    ]


def whole_queries(molmo: Molmo, repeats: int, seed: int) -> list[tuple[str, float]]:
    """A whole query from pixels to words, by each program: medians [ms]."""
    image = render(Scene.random(seed), *SENSOR).rgb
    reference = TransformersModel(molmo, str(checkpoint_folder("tiny")))
    text = count_prompt("things")
    ways: dict[str, Callable[[], str]] = {
        "ours, plain": lambda: molmo.query(image, text, options=PLAIN).text,
        "ours, asked again": lambda: molmo.query(image, text).text,
        "transformers": lambda: reference.answer(image, text),
        "transformers, prompt look-up": lambda: reference.answer(image, text, 10),
    }
    if len(said := {way() for way in ways.values()}) > 1:
        raise SystemExit(f"the answers differ: {said}")
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            times[name].append((time.perf_counter() - started) * 1e3)
    return [(name, statistics.median(values)) for name, values in times.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--engine", default="torch", choices=("torch", "onnx"))
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=83_000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    molmo = load_molmo("tiny", engine=args.engine, threads=args.threads)
    seeds = range(args.seed, args.seed + args.scenes)
    tallies = of_guesses(molmo, seeds)
    print("| answers | tokens | passes | tokens a pass | plain [ms] | guessed [ms] | times as fast |")
    print("|---|---|---|---|---|---|---|")
    for name, tally in tallies.items():
        print(tally.row(name))
    rows = of_packs(molmo, seeds[: max(1, args.scenes // 4)])
    print("\n| labels together | plain [ms] | guessed [ms] | beside one | passes |\n|---|---|---|---|---|")
    for count, plain, guessed, passes in rows:
        print(f"| {count} | {plain:.1f} | {guessed:.1f} | {guessed / rows[0][2]:.2f} | {passes:.1f} |")
    print(f"\n| a whole query, {SENSOR[0]}x{SENSOR[1]} | ms |\n|---|---|")
    for name, milliseconds in whole_queries(molmo, args.repeats, args.seed):
        print(f"| {name} | {milliseconds:.1f} |")


if __name__ == "__main__":
    main()
