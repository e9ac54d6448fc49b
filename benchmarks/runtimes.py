# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Times the embedded model's networks in torch and in onnxruntime on the CPU: per crop, per prompt, per token.

    python benchmarks/runtimes.py [--model tiny] [--repeats 15] [--threads 1]

Both run the same weights in float32, in turns, in one process; medians of wall time. Their answers must be the same
before anything is timed, and the largest difference of logits and features is printed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from molmo_ros.engine.graphs.export import export_graphs
from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.runtimes.onnx_runner import OnnxRunner
from molmo_ros.engine.shapes import Shapes
from molmo_ros.molmo.catalog.model_parts import read_image_processing
from molmo_ros.molmo.catalog.model_store import checkpoint_folder
from molmo_ros.molmo.network.model import prefill_mask
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.runtime import ImageTensors, Runtime
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

SEED = 10_003
QUERIES = ("Point to the red cube", "how many things are there?")
CROPS = (1, 2, 4)
TOKENS = 30
"""Image features of a crop."""
PROMPT = 128
"""Tokens of the timed prompt, image tokens included."""
STEPS = 16


def open_onnx(molmo: Molmo, folder: Path, into: Path) -> Molmo:
    """The same checkpoint in onnxruntime, exported into a folder."""
    model = molmo.runtime.model
    images = read_image_processing(folder)
    shapes = Shapes.of(model.config, images, max(CROPS), None)
    export_graphs(into, model.config, shapes.max_context, torch.float32, model.state_dict().__getitem__)
    runner = OnnxRunner(into, model.config.decoder, shapes.max_context, torch.float32)
    runtime = EngineRuntime(model.config, shapes, runner, model.decoder.embedding, model.point_head)
    return Molmo.from_runtime(runtime, folder)


class Work:
    """The same inputs for every runtime."""

    def __init__(self, runtime: Runtime) -> None:
        vision, connector = runtime.config.vision, runtime.config.connector
        torch.manual_seed(0)
        slots = connector.pool[0] * connector.pool[1]
        self.images = {}
        for crops in CROPS:
            table = torch.arange(crops * TOKENS * slots).view(-1, slots)
            masks = torch.ones(crops, vision.patches) if connector.pad_embed else None
            pixels = torch.randn(crops, vision.patches, vision.patch_values)
            self.images[crops] = ImageTensors(pixels, masks, pooling=table)
        self.prompt = torch.randn(1, PROMPT, runtime.config.decoder.width)
        is_image = torch.arange(PROMPT).unsqueeze(0) < PROMPT * 3 // 4
        self.mask = prefill_mask(is_image, runtime.config.image_block)

    @torch.inference_mode()
    def stages(self, runtime: Runtime) -> dict[str, Callable[[], torch.Tensor]]:
        """What is timed, by name; each returns what is compared."""

        def encode(crops: int) -> Callable[[], torch.Tensor]:
            return lambda: runtime.encode_image(self.images[crops]).tokens

        def prefill() -> torch.Tensor:
            return runtime.prefill(self.prompt, self.mask, runtime.cache(PROMPT + STEPS)).logits

        def decode() -> torch.Tensor:
            cache = runtime.cache(PROMPT + STEPS)
            runtime.prefill(self.prompt, self.mask, cache)
            for step in range(STEPS):
                logits = runtime.decode(self.prompt[:, [step]], cache).logits
            return logits

        stages = {f"vision, {crops} crops": encode(crops) for crops in CROPS}
        return stages | {f"prefill, {PROMPT} tokens": prefill, f"the same and {STEPS} tokens": decode}


@torch.inference_mode()
def milliseconds(call: Callable[[], torch.Tensor]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    folder = checkpoint_folder(args.model)
    ours = Molmo.from_pretrained(args.model)
    with tempfile.TemporaryDirectory() as into:
        theirs = open_onnx(ours, folder, Path(into))
        picture = render(Scene.random(SEED), *SENSOR).rgb
        for text in QUERIES:
            said = [one.query(picture, text).text for one in (ours, theirs)]
            if said[0] != said[1]:
                raise SystemExit(f"the answers differ: torch {said[0]!r}, onnxruntime {said[1]!r}")
        work = Work(ours.runtime)
        stages = [work.stages(one.runtime) for one in (ours, theirs)]
        print(f"| float32, {args.threads} thread(s) | torch [ms] | onnxruntime [ms] | ratio | difference |")
        print("|---|---|---|---|---|")
        medians = {}
        for name in stages[0]:
            with torch.inference_mode():
                one, other = (runtime[name]() for runtime in stages)
            difference = float((one - other).abs().max() / one.abs().max())
            times: list[list[float]] = [[], []]
            for _ in range(args.repeats):
                for which in (0, 1):
                    times[which].append(milliseconds(stages[which][name]))
            medians[name] = [statistics.median(part) for part in times]
            _row(name, *medians[name], f"{difference:.1e}")
        prompt, whole = list(medians.values())[-2:]
        _row("one token", *((b - a) / STEPS for a, b in zip(prompt, whole, strict=True)), "")
        wholes: list[list[float]] = [[], []]
        for _ in range(args.repeats):
            for which, one in enumerate((ours, theirs)):
                wholes[which].append(one.query(picture, QUERIES[1]).timing_ms["total"])
        _row("a whole query", *map(statistics.median, wholes), "same words")


def _row(name: str, torch_ms: float, onnx_ms: float, difference: str) -> None:
    print(
        f"| {name} | {torch_ms:.2f} | {onnx_ms:.2f} | {torch_ms / onnx_ms:.1f} | {difference} |", flush=True
    )


if __name__ == "__main__":
    main()
