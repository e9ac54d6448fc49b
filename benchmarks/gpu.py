# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Times a model of real size on a GPU: our torch engine, the reference, TensorRT, and what the device does at best.

    python -m benchmarks.gpu [--model 4b|7b-d|tiny] [--device cuda] [--precision bfloat16] [--json FILE] [--quick]

Random weights, made on the device; nothing is downloaded. Pictures are random pixels through the model's own image
processing, so crops and prompts have the real sizes. Measured in one run, each part in a process of its own that is
ended after --limit seconds (by default as many as such a part may need: an engine of real size is built for an hour on
a Jetson), so that one that fails, hangs or fills the memory leaves the others their figures. It sees no other GPU:

- floors: memory bandwidth (copying; a matrix times a vector) and products of matrices, by torch's kernels;
- torch-eager: our torch engine, kernel by kernel;
- torch-graphs: the same with decoding as CUDA graphs, as it runs on a GPU by default;
- transformers-eager, transformers-compiled: transformers' own Molmo2 (it has no 7B-D);
- tensorrt, tensorrt_rtx: engines, exported, built and run here, where that TensorRT is installed; of float16 where
  float32 is asked for;
- tensorrt-two-profiles: the same with kernels of their own for prompts, as `molmo-ros build` does in 16 bit.

Prints Markdown, then one line of JSON. Times are medians of wall time with the device idle before and after. A decoded
token is chosen on the host, as in an answer; so are those of a pass over several tokens, as guesses are verified and
several answers decoded together. The time to the first point is that of vision, prefill and 16 tokens;
image processing, on the CPU, is not in it. Shares of the floors count matrices only (a decoded token: the bytes of
the decoder's weights against the bandwidth read; prefill and vision: products against the product of square matrices).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_work
from benchmarks.gpu_engines import MODULES, open_tensorrt
from benchmarks.gpu_memory import PeakMemory
from benchmarks.isolated import one_device, run_isolated
from molmo_ros.engine.runtime_table import TENSORRT
from molmo_ros.engine.tensorrt.module import installed_version
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import DTYPES

FLOORS, TWO_PROFILES = "floors", "-two-profiles"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=gpu_work.NAMES, default="4b")
    parser.add_argument("--device", default="cuda", help="torch device: cuda, cuda:1, cpu")
    parser.add_argument("--precision", choices=DTYPES, default="bfloat16")
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated (default: all)")
    parser.add_argument("--limit", type=float, help="seconds after which a part is ended (default: by part)")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--quick", action="store_true", help="few runs: that it works, not how fast")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        if torch.device(args.device).type == "cpu":
            torch.set_num_threads(1)
        print(json.dumps(PARTS[args.part](args)))
        return
    chosen = args.parts.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no such parts: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if torch.device(args.device).type == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; --model tiny --device cpu --quick tries the script out")
    figures = {"about": about(args), "parts": {name: run_part(name, args) for name in chosen}}
    print(table(figures))
    print(json.dumps(figures))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


def run_part(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """A part's figures, and how long it took in all; or its error."""
    module = name.removesuffix(TWO_PROFILES)
    if module in MODULES and installed_version(module) is None:
        return {"error": f"{module} is not installed", "seconds": 0.0}
    print(f"{name} ...", file=sys.stderr, flush=True)
    device, environment = one_device(args.device, os.environ)
    command = ["-m", "benchmarks.gpu", "--part", name, "--model", args.model]
    command += ["--device", device, "--precision", args.precision, *["--quick"] * args.quick]
    started = time.perf_counter()
    found, _ = run_isolated(command, LIMITS[name] if args.limit is None else args.limit, environment)
    return found | {"seconds": time.perf_counter() - started}


def about(args: argparse.Namespace) -> dict[str, Any]:
    """What was measured where, with what, and when."""
    config, images = gpu_work.load_config(args.model)
    dtype, device = DTYPES[args.precision], torch.device(args.device)
    work = gpu_work.cases(config, images)
    return {
        "command": " ".join(["python -m benchmarks.gpu", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "model": args.model,
        "precision": args.precision,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "driver": driver_version() if device.type == "cuda" else None,
        "torch": torch.__version__,
        **{module: installed_version(module) for module in MODULES},
        "decoded_bytes": gpu_work.decoded_bytes(config, dtype),
        "prefill_flops": {str(case.tokens): gpu_work.prefill_flops(config, case.tokens) for case in work},
        "vision_flops": {str(case.crops): gpu_work.vision_flops(config, case.crops) for case in work},
        "first_point": f"{work[1].crops} crops, {work[1].tokens} tokens, {gpu_work.FIRST_POINT} decoded",
    }


def driver_version() -> str | None:
    """NVIDIA's driver; None where nvidia-smi does not tell."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def measure_floors(args: argparse.Namespace) -> dict[str, Any]:
    """See `gpu_work.floors`."""
    return gpu_work.floors(torch.device(args.device), DTYPES[args.precision], effort(args))


def measure_torch(args: argparse.Namespace, static: bool) -> dict[str, Any]:
    """Our torch engine."""
    config, _ = gpu_work.load_config(args.model)
    model = gpu_work.random_model(config, DTYPES[args.precision], torch.device(args.device))
    runtime = TorchRuntime(model, static=static)
    figures = measured(args, runtime, runtime.dtype)
    if runtime.static is not None and runtime.static.graphs.refused:
        figures["note"] = f"no CUDA graphs: {runtime.static.graphs.refused}"
    return figures


def measure_transformers(args: argparse.Namespace, compiled: bool) -> dict[str, Any]:
    """The reference."""
    from benchmarks.gpu_reference import TransformersRuntime

    config, images = gpu_work.load_config(args.model)
    if config.family != "molmo2":
        raise SystemExit(f"transformers has no class of its own for {args.model}")
    longest = max(case.tokens for case in gpu_work.cases(config, images))
    room = longest + max(effort(args).tokens, gpu_work.FIRST_POINT) if compiled else None
    dtype = DTYPES[args.precision]
    return measured(args, TransformersRuntime(config, dtype, torch.device(args.device), room), dtype)


def measure_tensorrt(args: argparse.Namespace, module: str, prompts_apart: bool = False) -> dict[str, Any]:
    """Engines of TensorRT."""
    config, images = gpu_work.load_config(args.model)
    most = max(tiles for _, tiles in gpu_work.PICTURES)
    device, dtype = torch.device(args.device), DTYPES[args.precision]
    dtype = torch.float16 if dtype == torch.float32 else dtype
    model = gpu_work.random_model(config, dtype, device)
    with tempfile.TemporaryDirectory(prefix="molmo_ros_gpu_") as folder:
        started = time.perf_counter()
        runtime = open_tensorrt(
            model, images.with_max_crops(most), module, Path(folder), prompts_apart=prompts_apart
        )
        build_seconds = time.perf_counter() - started
    del model
    if device.type == "cuda":
        torch.cuda.empty_cache()  # the weights that the engines have now
    figures = measured(args, runtime, dtype) | {
        "build_seconds": build_seconds,
        "memory": runtime.runner.memory(),
    }
    if runtime.runner.graphs.refused:
        figures["note"] = f"no CUDA graphs of ours: {runtime.runner.graphs.refused}"
    return figures


def measured(args: argparse.Namespace, runtime: gpu_work.Measured, dtype: torch.dtype) -> dict[str, Any]:
    """What every runtime is measured for."""
    config, images = gpu_work.load_config(args.model)
    device = torch.device(args.device)
    work = gpu_work.cases(config, images)
    with PeakMemory(device) as memory:
        figures = gpu_work.measure(runtime, config, work, effort(args), dtype, device)
    return figures | {"memory_gb": memory.peak_gb}


def effort(args: argparse.Namespace) -> gpu_work.Effort:
    """How often things are measured."""
    return gpu_work.QUICK if args.quick else gpu_work.FULL


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    FLOORS: measure_floors,
    "torch-eager": lambda args: measure_torch(args, static=False),
    "torch-graphs": lambda args: measure_torch(args, static=True),
    "transformers-eager": lambda args: measure_transformers(args, compiled=False),
    "transformers-compiled": lambda args: measure_transformers(args, compiled=True),
    **{module: lambda args, module=module: measure_tensorrt(args, module) for module in MODULES},
    TENSORRT.package + TWO_PROFILES: lambda args: measure_tensorrt(
        args, TENSORRT.package, prompts_apart=True
    ),
}


LIMITS = {FLOORS: 300.0, "torch-eager": 900.0, "torch-graphs": 900.0, "transformers-eager": 900.0}
LIMITS |= {"transformers-compiled": 1800.0, TENSORRT.package + TWO_PROFILES: 7200.0}
LIMITS |= {module: 5400.0 for module in MODULES}
"""Seconds after which a part is ended."""


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown, with the parts that failed and why."""
    facts, parts = figures["about"], figures["parts"]
    floor = parts.get(FLOORS, {})
    runtimes = {name: part for name, part in parts.items() if "decode_ms" in part}
    versions = ", ".join(f"{name} {facts[name]}" for name in ("driver", "torch", *MODULES) if facts[name])
    lines = [f"{facts['model']}, {facts['precision']}, {facts['device']} ({versions}), {facts['date']}:"]
    lines += [f"`{facts['command']}`", ""]
    if "read_gb_s" in floor:
        lines += [
            f"Floors: {floor['read_gb_s']:.0f} GB/s read, {floor['copy_gb_s']:.0f} GB/s copied, "
            f"{floor['matmul_tflops']:.1f} TFLOP/s in products of matrices.",
            "",
        ]
    rows: dict[str, list[str]] = {}
    for crops in facts["vision_flops"]:
        rows[f"vision, {crops} crops [ms]"] = [f"{one['vision_ms'][crops]:.1f}" for one in runtimes.values()]
    for tokens in facts["prefill_flops"]:
        rows[f"prefill, {tokens} tokens [ms]"] = [
            f"{one['prefill_ms'][tokens]:.1f}" for one in runtimes.values()
        ]
    rows["a decoded token [ms]"] = [f"{one['decode_ms']:.2f}" for one in runtimes.values()]
    rows["decoding [tokens/s]"] = [f"{1e3 / one['decode_ms']:.0f}" for one in runtimes.values()]
    rows[f"first point ({facts['first_point']}) [ms]"] = [
        f"{one['first_point_ms']:.0f}" for one in runtimes.values()
    ]
    for count in map(str, gpu_work.PASSES):
        passes = [one.get("pass_ms", {}).get(count) for one in runtimes.values()]
        rows[f"a pass over {count} tokens [ms]"] = ["-" if one is None else f"{one:.2f}" for one in passes]
    rows["peak memory [GB]"] = [f"{one['memory_gb']:.1f}" for one in runtimes.values()]
    if "read_gb_s" in floor:
        rows |= {what: [f"{share:.0%}" for share in shares] for what, shares in floor_shares(figures).items()}
    lines += [f"| | {' | '.join(runtimes)} |", "|---" * (len(runtimes) + 1) + "|"]
    lines += [f"| {what} | {' | '.join(cells)} |" for what, cells in rows.items()]
    for name, part in parts.items():
        lines += [f"\n{name}: {part[what]}" for what in ("note", "error") if what in part]
    return "\n".join(lines) + "\n"


def floor_shares(figures: dict[str, Any]) -> dict[str, list[float]]:
    """How much of what the device can do each runtime makes use of, in its largest case."""
    facts, floor = figures["about"], figures["parts"][FLOORS]
    runtimes = [part for part in figures["parts"].values() if "decode_ms" in part]
    shares = {"of the bandwidth, decoding": []}
    for one in runtimes:
        ideal = facts["decoded_bytes"] / gpu_work.GB / floor["read_gb_s"]
        shares["of the bandwidth, decoding"].append(ideal / (one["decode_ms"] / 1e3))
    for what, name in (("prefill_ms", "prefill"), ("vision_ms", "vision")):
        largest, flops = list(facts[f"{name}_flops"].items())[-1]
        ideal = flops / 1e12 / floor["matmul_tflops"]
        shares[f"of the products, {name}"] = [ideal / (one[what][largest] / 1e3) for one in runtimes]
    return shares


if __name__ == "__main__":
    main()
