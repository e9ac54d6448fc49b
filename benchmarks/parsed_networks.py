# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""TensorRT's parsed networks against torch: every family, lowering and format; and what the check of a large one takes.

    python -m benchmarks.parsed_networks [--families NAME ...] [--formats NAME ...]
    python -m benchmarks.parsed_networks --real 4b --precision bf16 --folder DIR [--thorough]

The first prints largest absolute differences: of float32 networks on the vectors' own images and tokens, and of the
embedded model's parts in 16 bits and in every quantised format, computed in float32. The second writes the decoder of
a model of real size with random weights (4b in bf16: 9 GB of disk), has TensorRT for RTX parse it, and computes the
first, a middle and the last block, or all: time and peak memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.building import RandomParameters
from benchmarks.gpu_work import load_config
from benchmarks.graph_parity import CONTEXT, VECTORS, outputs
from benchmarks.rounded_parameters import RoundedParameters
from molmo_ros.engine.graphs.decoder_graph import decoder_graph
from molmo_ros.engine.graphs.export import DECODER, VISION, export_graphs
from molmo_ros.engine.network_check import CheckedGraphs, DecoderCheck, check_networks, some_blocks
from molmo_ros.engine.quantisation.decoder_prompts import Example, Prompt
from molmo_ros.engine.quantisation.formats import QUANTISED, SIXTEEN_BITS
from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.runtimes.parsed_runner import parsed_runner
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.tensorrt.module import load_tensorrt
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.network.model import MolmoModel
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import load_checkpoint
from molmo_ros.molmo.weights.stored_parameters import StoredParameters

LOWERINGS = ("native", "legacy")
PROMPT = 256
"""Tokens of the prompt that blocks of real size are computed on."""
DTYPES = {"fp16": torch.float16}


def family_row(name: str) -> str:
    """Differences of features, prompt and decoded tokens, for each lowering."""
    folder = VECTORS / name
    model, arrays = load_checkpoint(folder), dict(np.load(folder / "input.npz"))
    expected = outputs(TorchRuntime(model), model, arrays)
    pool = model.config.connector.pool
    shapes = Shapes(12, CONTEXT, CONTEXT, 4096, pool[0] * pool[1], CONTEXT)
    cells = []
    with tempfile.TemporaryDirectory() as made:
        graphs = Path(made)
        export_graphs(graphs, model.config, CONTEXT, torch.float32, model.state_dict().__getitem__)
        for lowering in LOWERINGS:
            runner = parsed_runner(
                "tensorrt_rtx",
                dict.fromkeys((VISION, DECODER), lowering),
                graphs,
                model.config,
                shapes,
                torch.float32,
            )
            runtime = EngineRuntime(model.config, shapes, runner, model.decoder.embedding, model.point_head)
            found = outputs(runtime, model, arrays)
            cells += [
                f"{float((one - other).abs().max()):.1e}" for one, other in zip(expected, found, strict=True)
            ]
    return f"| {name} | {' | '.join(cells)} |"


def format_row(precision: str) -> str:
    """The embedded model in one format: the largest difference of its parts."""
    from molmo_ros.train.examples import simulated_questions

    stored, dtype = StoredParameters(EMBEDDED / "tiny"), DTYPES.get(precision, torch.bfloat16)

    def read(name: str) -> torch.Tensor:
        return stored.read(name, torch.float32)

    quantised = None
    if precision in QUANTISED:
        quantised = RoundedParameters(stored.config.decoder, precision, dtype, read)
    examples = [Example(image, query) for image, query in simulated_questions(3)[:1]]
    cells = []
    for lowering in LOWERINGS:
        with tempfile.TemporaryDirectory() as made:
            export_graphs(Path(made), stored.config, CONTEXT, dtype, read, quantised=quantised)
            graphs = CheckedGraphs(
                load_tensorrt("tensorrt_rtx"),
                dict.fromkeys((VISION, DECODER), lowering),
                Path(made),
                CONTEXT,
                dtype,
                quantised,
            )
            parts = check_networks(graphs, EMBEDDED / "tiny", examples).differences
        blocks = max(value for name, value in parts.items() if name.startswith("block"))
        cells += [f"{value:.1e}" for value in (parts["vision"], blocks, parts["head"])]
    return f"| {precision} | {' | '.join(cells)} |"


def real_size(model: str, precision: str, folder: Path, thorough: bool, layers: int | None) -> str:
    """Time and memory of the check of a decoder with random weights."""
    config, images = load_config(model)
    if layers is not None:
        config = replace(config, decoder=replace(config.decoder, layers=layers))
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in MolmoModel(config).state_dict().items()}
    random, dtype = RandomParameters(shapes), DTYPES.get(precision, torch.bfloat16)
    quantised = None
    if precision in QUANTISED:
        quantised = RoundedParameters(config.decoder, precision, dtype, random.read)
    context = Shapes.of(config, images, None, None).max_context
    if not (folder / DECODER).exists():
        decoder_graph(config, context, dtype, random.read, quantised).save(folder / DECODER)
    exported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    blocks = None if thorough else some_blocks(config.decoder.layers)
    prompt = Prompt(
        torch.randn(1, PROMPT, config.decoder.width, generator=torch.Generator().manual_seed(0)),
        torch.ones(PROMPT, PROMPT, dtype=torch.bool).tril()[None, None],
        8,
    )
    graphs = CheckedGraphs(
        load_tensorrt("tensorrt_rtx"), {DECODER: "native"}, folder, context, dtype, quantised
    )
    started = time.perf_counter()
    found = DecoderCheck(graphs, config.decoder, random.read).run(
        [prompt], blocks, lambda done, of: print(f"block {done} of {of}", flush=True)
    )
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return (
        f"{model} {precision}, {len(found)} parts: {seconds:.0f} s, peak {peak:.1f} GB (export {exported:.1f} GB), "
        f"largest difference {max(found.values()):.1e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", nargs="*", default=sorted(path.name for path in VECTORS.glob("*-tiny")))
    parser.add_argument("--formats", nargs="*", default=[*SIXTEEN_BITS, *QUANTISED])
    parser.add_argument("--real", metavar="MODEL", help="such as 4b")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--folder", type=Path, help="where the graph of --real goes; it is left there")
    parser.add_argument("--layers", type=int, help="as many blocks of it only")
    parser.add_argument("--thorough", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.real:
        print(real_size(args.real, args.precision, args.folder, args.thorough, args.layers))
        return
    both = " | ".join(
        f"{lowering}: {what}" for lowering in LOWERINGS for what in ("features", "prompt", "decoded")
    )
    print(f"| model | {both} |\n{'|---' * 7}|")
    for name in args.families:
        print(family_row(name), flush=True)
    both = " | ".join(
        f"{lowering}: {what}" for lowering in LOWERINGS for what in ("vision", "blocks", "head")
    )
    print(f"\n| format | {both} |\n{'|---' * 7}|")
    for precision in args.formats:
        print(format_row(precision), flush=True)


if __name__ == "__main__":
    main()
