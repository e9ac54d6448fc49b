# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Exports and builds engines of real size with random weights, ahead of time for an RTX card, without a GPU.

    python benchmarks/building.py [--models 4b 7b-d] [--precisions int4 bf16] [--target rtx30] [--folder DIR]

For each it prints how long the export and the builds took, the peak of memory of each, and the engines' size next to
the ideal: parameters times bits. All weights are different random numbers: TensorRT stores equal ones once. The
decoder's weights are rounded to the nearest; calibration on pictures is not timed here. Needs disk for the graphs
and the engines: 20 GB for 4b in bf16.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from math import prod
from pathlib import Path
from zlib import crc32

import torch
from torch import Tensor

from benchmarks.gpu_work import load_config
from benchmarks.loading import shrink
from benchmarks.rounded_parameters import RoundedParameters
from molmo_ros.engine.build_plan import BuildPlan
from molmo_ros.engine.graphs.export import DECODER, VISION, export_graphs
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.targets import GPU_TARGETS, TensorRTTarget
from molmo_ros.engine.tensorrt.builder import BuildReport, BuildRequest, build_engine
from molmo_ros.engine.tensorrt.shape_profiles import decoder_profile, vision_profile
from molmo_ros.molmo.network.model import MolmoModel

GB = 1e9


class RandomParameters:
    """A model's parameters, made when they are read."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self.shapes = shapes

    def read(self, name: str) -> Tensor:
        """float32."""
        generator = torch.Generator().manual_seed(crc32(name.encode()))
        return torch.empty(self.shapes[name]).uniform_(-0.05, 0.05, generator=generator)


def make_plan(model: str, target: str, precision: str, by: int) -> BuildPlan:
    """A plan for a model that has no checkpoint."""
    config, images = load_config(model)
    if model != "tiny":
        config = shrink(config, by)
    with torch.device("meta"):
        network = MolmoModel(config)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    plan = BuildPlan.make("tiny", target, precision)
    return replace(
        plan,
        model=model,
        config=config,
        shapes=Shapes.of(config, images, None, None),
        eight_bits=images.style.eight_bits,
        sizes={name: prod(shape) for name, shape in shapes.items()},
    )


def export(plan: BuildPlan, folder: Path) -> None:
    """Writes the graphs and prints what that took, as JSON; in a process of its own, for its memory."""
    with torch.device("meta"):
        network = MolmoModel(plan.config)
    random = RandomParameters({name: tuple(value.shape) for name, value in network.state_dict().items()})
    quantised = None
    if plan.quantised:
        quantised = RoundedParameters(plan.config.decoder, plan.precision, plan.dtype, random.read)
    started = time.perf_counter()
    export_graphs(
        folder,
        plan.config,
        plan.shapes.max_context,
        plan.dtype,
        random.read,
        quantised=quantised,
        eight_bits=plan.eight_bits,
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": time.perf_counter() - started, "peak": peak}))


def build(plan: BuildPlan, folder: Path) -> dict[str, BuildReport]:
    """Both engines."""
    assert isinstance(plan.target, TensorRTTarget)
    reports = {}
    for graph, profile in ((VISION, vision_profile), (DECODER, decoder_profile)):
        request = BuildRequest(
            graph=folder / graph,
            engine=(folder / graph).with_suffix(".engine"),
            tensorrt=plan.target.runtime.package,
            lowering=plan.target.lowering(""),
            capability=plan.target.capability,
            profile=profile(plan.config, plan.shapes),
        )
        reports[graph] = build_engine(request)
    return reports


def measure(model: str, target: str, precision: str, by: int, folder: Path) -> str:
    """A row of the table."""
    plan = make_plan(model, target, precision, by)
    words = ["--models", model, "--precisions", precision, "--target", target, "--shrink", str(by)]
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.building", *words, "--export-into", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    exported = json.loads(child.stdout.splitlines()[-1])
    reports = build(plan, folder)
    size = sum(report.engine_size for report in reports.values())
    seconds = sum(report.seconds for report in reports.values())
    peak = max(report.peak_memory for report in reports.values())
    ideal = plan.weight_bytes()
    cells = (
        model,
        precision,
        f"{exported['seconds']:.0f} s",
        f"{exported['peak'] / GB:.1f} GB",
        f"{seconds:.0f} s",
        f"{peak / GB:.1f} GB",
        f"{size / GB:.2f} GB",
        f"{ideal / GB:.2f} GB",
        f"{size / ideal:.2f}",
        str(plan.estimate()),
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["4b", "7b-d"], choices=["4b", "7b-d", "tiny"])
    parser.add_argument("--precisions", nargs="+", default=["int4", "bf16"])
    parser.add_argument(
        "--target", default="rtx30", choices=[name for name, one in GPU_TARGETS.items() if one.ahead]
    )
    parser.add_argument(
        "--folder", type=Path, help="where graphs and engines go (default: a temporary folder)"
    )
    parser.add_argument("--shrink", type=int, default=1, help="make the models smaller, to try things out")
    parser.add_argument("--export-into", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.export_into:
        export(make_plan(args.models[0], args.target, args.precisions[0], args.shrink), args.export_into)
        return
    print(f"TensorRT for RTX, target {args.target}, {torch.get_num_threads()} threads of torch\n")
    print("| model | precision | export | peak | builds | peak | engines | ideal | ratio | expected |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for model in args.models:
        for precision in args.precisions:
            with tempfile.TemporaryDirectory(dir=args.folder) as folder:
                print(measure(model, args.target, precision, args.shrink, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
