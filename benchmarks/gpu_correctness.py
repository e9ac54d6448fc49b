"""Holds every way of running the embedded model against float32 on the CPU: the same scenes, the same queries.

    python -m benchmarks.gpu_correctness [--device cuda] [--scenes 25] [--queries 8] [--json FILE]

Torch in float32, bfloat16 and float16, kernel by kernel ("eager") and over fixed memory, on CUDA as CUDA graphs
("static"); onnxruntime on the CPU; engines of TensorRT in both 16-bit types, built here, where that TensorRT is
installed. What cannot be built or run is listed with the reason. The rows are those of `molmo_ros.train.precision`: how
many answers are word for word the reference's, how far points moved, and how many are right.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.gpu_engines import MODULES, open_tensorrt
from benchmarks.runtimes import open_onnx
from molmo_ros.molmo.catalog.model_parts import read_image_processing
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import DTYPES, load_checkpoint
from molmo_ros.train.held_out import HELD_OUT
from molmo_ros.train.precision import compare, table

FOLDER = EMBEDDED / "tiny"
REFERENCE = "float32, CPU"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="torch device: cuda, cuda:1, cpu")
    parser.add_argument("--precisions", default=",".join(DTYPES), help="comma-separated")
    parser.add_argument("--scenes", type=int, default=25)
    parser.add_argument("--queries", type=int, default=8, help="queries per scene")
    parser.add_argument("--json", type=Path, help="write every number here")
    args = parser.parse_args()
    precisions = args.precisions.split(",")
    if unknown := set(precisions) - set(DTYPES):
        parser.error(f"no such precisions: {', '.join(sorted(unknown))}; there are {', '.join(DTYPES)}")
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; --device cpu tries the script out")
    with tempfile.TemporaryDirectory(prefix="molmo_ros_gpu_") as folder:
        models, failed = open_all(device, precisions, Path(folder))
        results = compare(models, range(HELD_OUT, HELD_OUT + args.scenes), args.queries)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"The embedded model on {where}, torch {torch.__version__}; `{' '.join(sys.argv)}`\n")
    print(table(results))
    for name, reason in failed.items():
        print(f"\n{name}: {reason}")
    if args.json:
        numbers = {name: asdict(result) for name, result in results.items()}
        args.json.write_text(json.dumps({"results": numbers, "failed": failed}, indent=1) + "\n")


def open_all(
    device: torch.device, precisions: list[str], into: Path
) -> tuple[dict[str, Molmo], dict[str, str]]:
    """The model in every way that works here, the reference first; and why the others do not.

    Args:
        device: What is tried.
        precisions: In which of `DTYPES`.
        into: An empty folder for graphs and engines.
    """
    reference = Molmo.from_pretrained("tiny")
    models, failed = {REFERENCE: reference}, {}
    into_onnx = into / "onnx"
    into_onnx.mkdir()
    models["float32, onnxruntime"] = open_onnx(reference, FOLDER, into_onnx)
    images = read_image_processing(FOLDER)
    for precision in precisions:
        model = load_checkpoint(FOLDER, device=str(device), dtype=precision, tie_equal_head=True)
        for name, static in (("eager", False), ("static", True)):
            runtime = TorchRuntime(model, static=static)
            models[f"{precision}, {name}"] = Molmo.from_runtime(runtime, FOLDER)
        for module in MODULES if precision != "float32" else ():
            name, folder = f"{precision}, {module}", into / f"{precision}-{module}"
            folder.mkdir()
            try:
                models[name] = Molmo.from_runtime(open_tensorrt(model, images, module, folder), FOLDER)
            except MolmoError as error:
                failed[name] = str(error)
    return models, failed


if __name__ == "__main__":
    main()
