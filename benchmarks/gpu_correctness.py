# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Holds every way of running the embedded model against float32 on the CPU: the same scenes, the same queries.

    python -m benchmarks.gpu_correctness [--device cuda] [--scenes 25] [--queries 8] [--json FILE]

Torch in float32, bfloat16 and float16, kernel by kernel ("eager") and over fixed memory, on CUDA as CUDA graphs
("static"); onnxruntime on the CPU; engines of TensorRT in both 16-bit types, built here, where that TensorRT is
installed. Each way has a process of its own, so that a fault of a kernel, after which CUDA does nothing more in its
process, leaves the others their answers. What cannot be built or run is listed with the reason. The rows are those of
`molmo_ros.train.precision`: how many answers are word for word the reference's, how far points moved, and how many are
right.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_engines import MODULES, open_tensorrt
from benchmarks.isolated import one_device, run_isolated
from molmo_ros.engine.tensorrt.module import installed_version
from molmo_ros.molmo.catalog.model_parts import read_image_processing
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import DTYPES, load_checkpoint
from molmo_ros.train.evaluate import Score
from molmo_ros.train.held_out import HELD_OUT
from molmo_ros.train.precision import Agreement, compare, table

FOLDER = EMBEDDED / "tiny"
REFERENCE = "float32, CPU"
ONNX = "float32, onnxruntime"
LIMIT = 1800.0
"""Seconds after which a way is ended: an engine is built in minutes, on a Jetson too."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="torch device: cuda, cuda:1, cpu")
    parser.add_argument("--precisions", default=",".join(DTYPES), help="comma-separated")
    parser.add_argument("--scenes", type=int, default=25)
    parser.add_argument("--queries", type=int, default=8, help="queries per scene")
    parser.add_argument("--json", type=Path, help="write every number here")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps({name: asdict(one) for name, one in measure_way(args).items()}))
        return
    precisions = args.precisions.split(",")
    if unknown := set(precisions) - set(DTYPES):
        parser.error(f"no such precisions: {', '.join(sorted(unknown))}; there are {', '.join(DTYPES)}")
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; --device cpu tries the script out")
    results, failed = measure_all(args, precisions)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"The embedded model on {where}, torch {torch.__version__}; `{' '.join(sys.argv)}`\n")
    print(table({name: agreement(numbers) for name, numbers in results.items()}))
    for name, reason in failed.items():
        print(f"\n{name}: {reason}")
    if args.json:
        args.json.write_text(json.dumps({"results": results, "failed": failed}, indent=1) + "\n")


def ways(precisions: list[str]) -> list[str]:
    """The names of all ways, the reference not among them."""
    names = [ONNX]
    for precision in precisions:
        names += [f"{precision}, {how}" for how in ("eager", "static")]
        names += [f"{precision}, {module}" for module in MODULES if precision != "float32"]
    return names


def measure_all(
    args: argparse.Namespace, precisions: list[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Each way's agreement with the reference, the reference's own first; and why the others have none."""
    results: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    device, environment = one_device(args.device, os.environ)
    for name in ways(precisions):
        module = name.split(", ")[1]
        if module in MODULES and installed_version(module) is None:
            failed[name] = f"{module} is not installed, or cannot be imported"
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        command = ["-m", "benchmarks.gpu_correctness", "--way", name, "--device", device]
        command += ["--scenes", str(args.scenes), "--queries", str(args.queries)]
        found, _ = run_isolated(command, LIMIT, environment)
        if "error" in found:
            failed[name] = found["error"]
        else:
            results = {REFERENCE: found[REFERENCE]} | results | {name: found[name]}
    return results, failed


def measure_way(args: argparse.Namespace) -> dict[str, Agreement]:
    """One way's answers beside the reference's."""
    reference = Molmo.from_pretrained("tiny")
    with tempfile.TemporaryDirectory(prefix="molmo_ros_gpu_") as folder:
        model = open_way(args.way, args.device, reference, Path(folder))
        seeds = range(HELD_OUT, HELD_OUT + args.scenes)
        return compare({REFERENCE: reference, args.way: model}, seeds, args.queries)


def open_way(name: str, device: str, reference: Molmo, into: Path) -> Molmo:
    """The model, run in one way.

    Args:
        name: One of `ways`.
        device: Of torch.
        reference: The model on the CPU.
        into: An empty folder for graphs and engines.

    Raises:
        MolmoError: It cannot be built or opened.
    """
    if name == ONNX:
        from benchmarks.runtimes import (
            open_onnx,  # not everywhere: Python 3.10 has no onnxruntime that is new enough
        )

        return open_onnx(reference, FOLDER, into)
    precision, how = name.split(", ")
    model = load_checkpoint(FOLDER, device=device, dtype=precision, tie_equal_head=True)
    if how in MODULES:
        return Molmo.from_runtime(open_tensorrt(model, read_image_processing(FOLDER), how, into), FOLDER)
    return Molmo.from_runtime(TorchRuntime(model, static=how == "static"), FOLDER)


def agreement(numbers: dict[str, Any]) -> Agreement:
    """An agreement of what another process wrote."""
    return Agreement(**numbers | {"scores": {row: Score(**one) for row, one in numbers["scores"].items()}})


if __name__ == "__main__":
    main()
