# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How well a query's time is foretold from the crops and tokens of its image, and what a latency target makes of it.

    python benchmarks/crop_budget.py [--size 1280x720] [--repeats 5] [--queries 40] [--threads 1] [--device cpu]

The embedded model looks at one tile only, so this one is random: Molmo2's crops and connector, 4 blocks of width 256 in
the tower and 4 of width 512 in the decoder. What it says means nothing; how long it takes depends on crops and tokens
as in the real ones. Each answer has 24 tokens. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np
import torch

from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.images.crop_budget import TYPICAL_ANSWER, shapes
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.latency_model import LatencyModel, QueryTiming
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.network.model import MolmoModel
from molmo_ros.molmo.pipeline import Molmo, checkpoint_folder
from molmo_ros.molmo.prompts.tokenizer import Tokenizer
from molmo_ros.molmo.running.generation import GenerateOptions

TOWER_WIDTH, DECODER_WIDTH, BLOCKS = 256, 512, 4
OPTIONS = GenerateOptions(max_new_tokens=TYPICAL_ANSWER)
MEASURED = (1, 2, 4, 8)
EVERY_TILE = 1e6
"""A latency target [s] that everything keeps."""


def random_molmo(device: str) -> Molmo:
    """A Molmo2 of random weights with the released models' crops, and the embedded model's tokenizer."""
    folder = checkpoint_folder("tiny")
    tiny = read_config(folder)
    heads = TOWER_WIDTH // 32
    config = replace(
        tiny,
        vision=replace(
            tiny.vision, width=TOWER_WIDTH, heads=heads, mlp_width=4 * TOWER_WIDTH, grid=(27, 27), layers=BLOCKS,
            feature_layers=(BLOCKS - 1, BLOCKS - 3),
        ),
        connector=replace(
            tiny.connector, feature_width=2 * TOWER_WIDTH, width=TOWER_WIDTH, heads=heads,
            hidden_width=3 * DECODER_WIDTH, output_width=DECODER_WIDTH,
        ),
        decoder=replace(
            tiny.decoder, width=DECODER_WIDTH, layers=BLOCKS, heads=DECODER_WIDTH // 64, kv_heads=DECODER_WIDTH // 128,
            head_dim=64, mlp_width=3 * DECODER_WIDTH, max_positions=8192,
        ),
    )  # fmt: skip
    torch.manual_seed(0)
    model = MolmoModel(config).to(device).eval()
    return Molmo(
        model, Tokenizer.from_folder(folder), ImageProcessor(ImageProcessorConfig.released(STRETCHED))
    )


def timed_query(molmo: Molmo, image: np.ndarray) -> tuple[QueryTiming, tuple[int, int]]:
    """A query about the image, and its tiling."""
    answer = molmo.query(image, "Point to the thing.", options=OPTIONS)
    assert answer.crops is not None
    return answer.crops.timing(answer.timing_ms, answer.tokens), answer.crops.costs[0].tiling


def prediction_table(molmo: Molmo, image: np.ndarray, repeats: int) -> list[float]:
    """Predicted next to measured for each tiling; returns what was measured [s].

    The tilings take turns, so that other work on the machine disturbs all alike. The prediction comes from the even
    rounds of the tilings that `CropBudget.measure` uses, what was measured from the odd rounds.
    """
    costs = shapes(molmo.image_processor.config, image.shape[:2])
    limits = [cost.tiling[0] * cost.tiling[1] for cost in costs]
    timings: dict[int, list[QueryTiming]] = {limit: [] for limit in limits}
    for _ in range(2 * repeats + 1):
        for limit in limits:
            molmo.limit_crops(limit)
            timings[limit].append(timed_query(molmo, image)[0])
    warm = {limit: rounds[1:] for limit, rounds in timings.items()}
    latency = LatencyModel.fit(
        [timing for limit in limits if limit in MEASURED for timing in warm[limit][::2]]
    )
    print("| max_crops | tiling | crops | tokens | predicted [ms] | measured [ms] | off by |")
    print("|---|---|---|---|---|---|---|")
    medians = []
    for limit, cost in zip(limits, costs, strict=True):
        predicted = latency.predict(cost.passes, cost.tokens, TYPICAL_ANSWER) * 1e3
        medians.append(statistics.median(timing.total for timing in warm[limit][1::2]))
        measured = medians[-1] * 1e3
        tiling = f"{cost.tiling[0]}x{cost.tiling[1]}"
        print(
            f"| {limit} | {tiling} | {cost.crops} | {cost.tokens} | {predicted:.0f} | {measured:.0f} "
            f"| {predicted / measured - 1:+.0%} |",
            flush=True,
        )
    return medians


def target_table(molmo: Molmo, image: np.ndarray, targets: list[float], queries: int) -> None:
    """What targets choose over many queries, and whether the queries keep them."""
    print("| target [ms] | tilings used | changes | median [ms] | queries within the target |")
    print("|---|---|---|---|---|")
    for target in targets:
        molmo.limit_crops(latency_target=target)
        seen = [timed_query(molmo, image) for _ in range(queries)]
        used = [f"{rows}x{columns}" for _, (rows, columns) in seen]
        changes = sum(a != b for a, b in zip(used, used[1:], strict=False))
        seconds = [timing.total for timing, _ in seen]
        kept = sum(second <= target for second in seconds)
        print(
            f"| {target * 1e3:.0f} | {', '.join(dict.fromkeys(used))} | {changes} "
            f"| {statistics.median(seconds) * 1e3:.0f} | {kept} of {queries} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="1280x720", help="width x height of the image [px]")
    parser.add_argument("--repeats", type=int, default=5, help="measured queries of each tiling")
    parser.add_argument("--queries", type=int, default=40, help="queries under each target")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    width, height = (int(side) for side in args.size.split("x"))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)

    molmo = random_molmo(args.device)
    times = prediction_table(molmo, image, args.repeats)
    started = time.perf_counter()
    molmo.limit_crops(latency_target=EVERY_TILE)
    print(f"\nMeasuring before the first target took {time.perf_counter() - started:.1f} s.\n")
    between = [1.1 * (a + b) / 2 for a, b in zip(times, times[1:], strict=False)]
    target_table(molmo, image, [0.5 * times[0], *between, 1.5 * times[-1]], args.queries)


if __name__ == "__main__":
    main()
