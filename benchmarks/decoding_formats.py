# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How many answers stay the same where passes are longer, by number format: guesses verified, answers together.

    python -m benchmarks.decoding_formats [--scenes 40] [--seed 83000] [--calibration 64]

In float32 all do. In 16 bit a pass over several tokens sums in another order than one over a single token, and where
two tokens are all but equally likely the other one may come; formats of fewer bits are simulated in torch, in bfloat16.
Each label of a scene is asked plain, with guesses (the second time, about a picture with other noise, so that guesses
are long), and together with all others, plain.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.decoding import GUESSED, LABELS, NOISE, PLAIN, ask
from molmo_ros.engine.quantisation.decoder_prompts import calibration_prompts
from molmo_ros.engine.quantisation.decoder_quantiser import quantise_decoder
from molmo_ros.engine.quantisation.formats import QUANTISED
from molmo_ros.engine.quantisation.simulated import simulated
from molmo_ros.molmo.catalog.model_store import checkpoint_folder
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import load_checkpoint
from molmo_ros.sim.renderer import add_noise, render
from molmo_ros.sim.scene import SENSOR, Scene
from molmo_ros.train.examples import simulated_examples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=83_000)
    parser.add_argument("--calibration", type=int, default=64, help="scenes to calibrate on")
    args = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(args.seed, args.seed + args.scenes)
    print("| format | answers | the same with guesses | together | tokens a pass |\n|---|---|---|---|---|")
    for name, molmo in models(args.calibration):
        print(row(name, molmo, seeds), flush=True)


def models(calibration: int) -> Iterator[tuple[str, Molmo]]:
    """The embedded model in each format."""
    folder = checkpoint_folder("tiny")
    for name in ("float32", "bfloat16", "float16"):
        yield name, Molmo.from_pretrained(folder, dtype=name)
    model = load_checkpoint(folder)
    reference = Molmo.from_runtime(TorchRuntime(model), folder)
    prompts = calibration_prompts(reference, list(simulated_examples(calibration)))
    read = model.state_dict().__getitem__
    sixteen = load_checkpoint(folder, dtype="bfloat16")
    for precision in QUANTISED:
        with tempfile.TemporaryDirectory() as work:
            quantised = quantise_decoder(
                Path(work), model.config.decoder, precision, torch.bfloat16, read, prompts
            )
            yield precision, Molmo.from_runtime(TorchRuntime(simulated(sixteen, quantised)), folder)


def row(name: str, molmo: Molmo, seeds: range) -> str:
    answers = guessed_same = together_same = tokens = passes = 0
    for seed in seeds:
        scene, rng = Scene.random(seed), np.random.default_rng(seed)
        labels = [*sorted({thing.name for thing in scene.objects})[:LABELS], "unicorn"]
        seen = render(scene, *SENSOR).rgb
        for _ in range(2):
            encoded = molmo.encode(add_noise(seen, rng, NOISE), view=str(seed))
            plain = [ask(molmo, encoded, [label], PLAIN)[0] for label in labels]
            guessed = [ask(molmo, encoded, [label], GUESSED)[0] for label in labels]
        together = ask(molmo, encoded, labels, PLAIN)
        answers += len(labels)
        guessed_same += sum(one.text == other.text for one, other in zip(plain, guessed, strict=True))
        together_same += sum(one.text == other.text for one, other in zip(plain, together, strict=True))
        tokens += sum(one.tokens + 1 for one in guessed)
        passes += sum(one.passes for one in guessed)
    share = [f"{100 * same / answers:.1f} %" for same in (guessed_same, together_same)]
    return f"| {name} | {answers} | {' | '.join(share)} | {tokens / passes:.1f} |"


if __name__ == "__main__":
    main()
