# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Times whole queries of the embedded model, next to transformers' own Molmo2 on the same weights.

    python benchmarks/decoding.py [--model tiny] [--repeats 9] [--threads 1]

Both answer the same question about the same simulated view, in turns, in one process; medians of wall time.
Both must say the same before anything is timed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from transformers import Molmo2ForConditionalGeneration
from transformers.utils import logging

from molmo_ros.molmo.catalog.model_store import checkpoint_folder
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.prompts.prompt_text import count_prompt
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

SEED = 10_003
LABEL = "things"
MAX_NEW_TOKENS = 64


class TransformersModel:
    """transformers' model behind our image processor and prompt, so that only the model differs."""

    def __init__(self, ours: Molmo, folder: str):
        logging.set_verbosity_error()
        self.ours = ours
        self.model = Molmo2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def answer(self, image, text: str) -> tuple[str, int]:
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
        )
        new = output[0, len(ids) :].tolist()
        return self.ours.tokenizer.decode([t for t in new if t not in self.ours.tokenizer.eos_ids]), len(new)


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    image = render(Scene.random(SEED), *SENSOR).rgb
    ours = Molmo.from_pretrained(args.model)
    reference = TransformersModel(ours, str(checkpoint_folder(args.model)))
    text = count_prompt(LABEL)
    said, _ = reference.answer(image, text)
    answer = ours.query(image, text)
    if answer.text != said.strip():
        raise SystemExit(f"the answers differ: ours {answer.text!r}, transformers {said!r}")
    print(f"{answer.tokens} tokens: {answer.text}\n")
    stages: dict[str, list[float]] = {name: [] for name in answer.timing_ms}
    first, theirs = [], []
    for _ in range(args.repeats):
        moments: list[float] = []
        started = time.perf_counter()
        answer = ours.query(image, text, on_point=lambda _, at=moments: at.append(time.perf_counter()))
        for name, value in answer.timing_ms.items():
            stages[name].append(value)
        first.append((moments[0] - started) * 1e3 if moments else float("nan"))
        theirs.append(seconds(lambda: reference.answer(image, text)) * 1e3)
    median = {name: statistics.median(values) for name, values in stages.items()}
    total, their_total = median["total"], statistics.median(theirs)
    print(f"| {image.shape[1]}x{image.shape[0]}, {args.threads} thread(s), float32 | ms |\n|---|---|")
    for name, value in median.items():
        print(f"| {name} | {value:.1f} |")
    print(f"| time to first point | {statistics.median(first):.1f} |")
    print(f"| transformers, the whole query | {their_total:.1f} ({their_total / total:.1f} times ours) |")
    print(f"\nDecoding: {(answer.tokens - 1) / median['decode'] * 1e3:.0f} tokens/s.")


if __name__ == "__main__":
    main()
