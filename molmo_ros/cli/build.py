# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros build MODEL --target TARGET`: compiles a model for a GPU, or for onnxruntime, once.

The engine goes to $MOLMO_ROS_HOME/engines (by default ~/.cache/molmo_ros/engines), where `--engine tensorrt` and
`--engine onnx` find it. Engines for RTX cards are built on any x86-64 machine, with or without a GPU; those for a
Jetson on it. What the target cannot do is refused before any work. A build that was broken off goes on with what was
finished when the command is run again.

The language model is quantised (int8, int4, fp8, nvfp4), calibrated on pictures: yours (--pictures, --query), or the
simulator's. Vision tower, connector, output head and point head stay at 16 bit. At the end the engine's answers are
compared with those of the 16-bit model on pictures that calibration has not seen; answers that moved too far fail the
build, unless --force is given. With --eval FOLDER both also answer a benchmark as `molmo-ros eval` does, and an engine
whose score is surely lower fails.

--dry-run builds nothing. It says what the build would take, and what the engine would on the known devices of its
target: memory, time to a first point, tokens per second, all computed. It does so for a Jetson on any machine, and ends
with status 2 where the build itself would be refused.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molmo_ros.cli.arguments import given_path, positive_int
from molmo_ros.cli.device_table import engine_text
from molmo_ros.cli.eval import add_benchmark_options
from molmo_ros.cli.printable import complain, printable, say
from molmo_ros.engine.targets import GPU_TARGETS, PRECISIONS, TARGET_NAMES, TensorRTTarget
from molmo_ros.molmo.errors import MolmoError

if TYPE_CHECKING:
    import numpy as np

    from molmo_ros.engine.benchmark_gate import BenchmarkGate
    from molmo_ros.engine.quality_gate import AskedPicture
    from molmo_ros.engine.quantisation.decoder_prompts import Example

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
SIMULATED = 48
"""Questions about the simulator's scenes where no pictures are given: for calibration, and as many for the gate."""
QUERY = "Point to the objects."


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand; `args.run` runs it."""
    parser = subparsers.add_parser(
        "build",
        help="compile a model for a GPU with TensorRT, or for onnxruntime",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model", metavar="MODEL", help="tiny, the name of a fetched model, or a checkpoint folder"
    )
    parser.add_argument("--target", required=True, metavar="TARGET", help=f"one of {', '.join(TARGET_NAMES)}")
    parser.add_argument(
        "--precision", metavar="P", help=f"one of {', '.join(PRECISIONS)} (default: bf16); fp32 for onnx"
    )
    parser.add_argument(
        "--max-crops", type=int, metavar="N", help="most tiles of an image (default: as trained)"
    )
    parser.add_argument(
        "--max-context",
        type=int,
        metavar="N",
        help="prompt and answer [tokens] (default: twice the largest prompt)",
    )
    parser.add_argument(
        "--pictures",
        type=given_path,
        metavar="DIR",
        help="pictures for calibration and the quality gate, half for each",
    )
    parser.add_argument(
        "--query",
        action="append",
        metavar="TEXT",
        help=f"what is asked about them; repeatable (default: {QUERY})",
    )
    parser.add_argument("--no-quality", action="store_true", help="leave out the quality gate")
    parser.add_argument(
        "--eval",
        type=given_path,
        metavar="FOLDER",
        help="a benchmark that the 16-bit model and the engine answer at the end; see `molmo-ros eval --help`",
    )
    add_benchmark_options(parser, required=False)
    parser.add_argument(
        "--eval-limit",
        type=positive_int,
        metavar="N",
        help="ask N of its questions only, of every category in turn",
    )
    parser.add_argument(
        "--thorough",
        action="store_true",
        help="without the GPU, compute every block of the network that TensorRT parsed, not three (minutes to hours)",
    )
    parser.add_argument("--force", action="store_true", help="keep an engine that the quality gate refuses")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="only check, and say what it will take, and what the engine will take on its devices",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Builds; returns the exit code."""
    try:
        from molmo_ros.engine.build_plan import BuildPlan
        from molmo_ros.engine.engine_build import build
        from molmo_ros.engine.targets import this_gpu

        benchmark = _benchmark(args)
        gpu = this_gpu()
        # Only to be looked at: what a Jetson will take can be asked anywhere.
        imagined = GPU_TARGETS[args.target].capability if args.dry_run and args.target in GPU_TARGETS else gpu
        plan = BuildPlan.make(
            args.model,
            args.target,
            args.precision,
            max_crops=args.max_crops,
            max_context=args.max_context,
            gpu=imagined,
        )
        shapes = plan.shapes
        print(
            f"{printable(args.model)} for {plan.target.name} as {plan.precision}: images of up to "
            f"{shapes.max_crops} tiles, {shapes.max_context} tokens of context\nexpected: {plan.estimate()}",
            file=sys.stderr,
        )
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if plan.estimate().memory > memory:
            complain(f"this machine has {memory / 1e9:.1f} GB of memory: add swap")
        if args.dry_run:
            if isinstance(plan.target, TensorRTTarget):
                say(engine_text(args.model, plan))
            plan.target.check_machine(gpu)
            return 0
        calibration = _calibration(args) if plan.quantised else []
        gate = [] if args.no_quality else _gate(args)
        with _StageBar() as bar:
            engine, quality = build(
                plan,
                calibration,
                gate,
                force=args.force,
                thorough=args.thorough,
                benchmark=benchmark,
                progress=bar.show,
            )
    except MolmoError as error:
        for line in str(error).splitlines():
            complain(line)
        return 2
    say(f"quality: {quality}")
    say(engine)
    return 0


def _calibration(args: argparse.Namespace) -> list[Example]:
    """What quantisation is calibrated on: every other picture, or the simulator's table with true answers."""
    from molmo_ros.engine.quantisation.decoder_prompts import Example
    from molmo_ros.train.examples import simulated_examples

    if args.pictures is None:
        return list(simulated_examples(SIMULATED))
    return [
        Example(picture, text) for picture in _pictured(args.pictures)[::2] for text in args.query or [QUERY]
    ]


def _gate(args: argparse.Namespace) -> list[AskedPicture]:
    """What the quality gate asks, about pictures that calibration does not use."""
    from molmo_ros.train.examples import simulated_questions

    if args.pictures is None:
        return simulated_questions(SIMULATED)
    return [(picture, text) for picture in _pictured(args.pictures)[1::2] for text in args.query or [QUERY]]


def _benchmark(args: argparse.Namespace) -> BenchmarkGate | None:
    """The benchmark that both models answer at the end; None without one.

    Raises:
        MolmoError: It cannot be read, its format or rule is missing, or those are given without it.
    """
    if args.eval is None:
        alone = [name for name in ("format", "rule", "words", "eval_limit") if getattr(args, name)]
        if alone:
            raise MolmoError(f"--{alone[0].replace('_', '-')} goes with --eval FOLDER")
        return None
    if args.format is None:
        raise MolmoError("--eval needs --format: what does the folder hold?")
    from molmo_ros.evaluation.engine_evaluation import EngineEvaluation
    from molmo_ros.evaluation.format_table import read_benchmark, rules_named

    rules = rules_named(args.format, args.rule)
    return EngineEvaluation(read_benchmark(args.format, args.eval, args.words), rules, args.eval_limit)


def _pictured(folder: Path) -> list[np.ndarray]:
    """Every picture of a folder, uint8 RGB [h, w, 3].

    Raises:
        ImageError: There is no such folder, or a picture cannot be read.
    """
    from molmo_ros.cli.picture import read_picture
    from molmo_ros.molmo.errors import ImageError

    found = folder.iterdir() if folder.is_dir() else ()
    paths = sorted(path for path in found if path.suffix.lower() in PICTURES)
    if len(paths) < 2:
        raise ImageError(
            f"{folder} holds {len(paths)} pictures ({', '.join(PICTURES)}); at least 2 are needed"
        )
    return [read_picture(path) for path in paths]


class _StageBar:
    """A progress bar for each stage of the build."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._new, self._stage = tqdm, ""
        self._bar: Any = None

    def __enter__(self) -> _StageBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, stage: str, done: int, total: int) -> None:
        """Sets the bar; bytes where there are many."""
        if stage != self._stage or self._bar is None:
            if self._bar is not None:
                self._bar.close()
            many = total > 100_000
            self._bar = self._new(total=total, desc=stage, unit="B" if many else " steps", unit_scale=many)
            self._stage = stage
        self._bar.update(done - self._bar.n)
