# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How much each block loses in an engine's own types: TensorRT's parsed network beside torch in the same format.

    python -m benchmarks.network_rounding [--formats NAME ...]

Of the embedded model: every block takes the states that float32 gives it on a real picture, rounded to the format's
type, and its own update of them is held against float32's with the same quantised weights. So what is counted is
what 16-bit sums and products, and inputs that a format rounds, cost in that block, and nothing of the blocks before.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.rounded_parameters import RoundedParameters
from molmo_ros.engine.graphs.export import DECODER, export_graphs
from molmo_ros.engine.network_check import CheckedGraphs, DecoderCheck, block_values
from molmo_ros.engine.quantisation.decoder_prompts import (
    Example,
    Prompt,
    calibration_prompts,
    open_before_blocks,
)
from molmo_ros.engine.quantisation.decoder_quantiser import block_states
from molmo_ros.engine.quantisation.formats import QUANTISED, SIXTEEN_BITS
from molmo_ros.engine.tensorrt.module import load_tensorrt
from molmo_ros.engine.tensorrt.parsed.interpreter import Interpreter
from molmo_ros.engine.tensorrt.parsed.parser import parse_graph
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.weights.stored_parameters import StoredParameters

CHECKPOINT, CONTEXT = EMBEDDED / "tiny", 1024
LOWERINGS = ("native", "legacy")
DTYPES = {"fp16": torch.float16}


class BlockError(NamedTuple):
    """Root mean squares of a block's errors, as shares of what it adds to its states in float32."""

    torch: float
    network: float


def prompts_of(examples: Sequence[Example]) -> list[Prompt]:
    """The embedded model's states before its first block, and what may look at what."""
    return calibration_prompts(open_before_blocks(CHECKPOINT), examples)


@torch.inference_mode()
def block_errors(precision: str, lowering: str, prompts: Sequence[Prompt]) -> list[BlockError]:
    """Of every block of the embedded model in a format."""
    stored, dtype = StoredParameters(CHECKPOINT), DTYPES.get(precision, torch.bfloat16)
    config = stored.config.decoder

    def read(name: str) -> Tensor:
        return stored.read(name, torch.float32)

    quantised = RoundedParameters(config, precision, dtype, read) if precision in QUANTISED else None
    trt = load_tensorrt("tensorrt_rtx")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        export_graphs(folder, stored.config, CONTEXT, dtype, read, quantised=quantised)
        values = block_values(folder / DECODER)
        parsed = parse_graph(trt, folder / DECODER, lowering)
        check = DecoderCheck(
            CheckedGraphs(trt, {DECODER: lowering}, folder, CONTEXT, dtype, quantised), config, read
        )
        network, errors = Interpreter(parsed.network), []
        states = [prompt.embeddings.to(dtype) for prompt in prompts]
        for layer in range(config.layers):
            exact_block, rounded_block = check.block(layer), check.block(layer).to(dtype)
            lost = torch.zeros(3, dtype=torch.float64)
            for number, prompt in enumerate(prompts):
                before = states[number]
                exact = block_states(config, layer, exact_block, before.float(), prompt.mask)
                in_torch = block_states(config, layer, rounded_block, before, prompt.mask)
                given = {values[layer]: before} | check.pass_inputs(layer, prompt, dtype)
                found = network.run(given, [values[layer + 1]])[values[layer + 1]]
                differences = (in_torch - exact, found - exact, exact - before.float())
                lost += torch.stack([one.double().square().sum() for one in differences])
                states[number] = exact.to(dtype)
            shares = (lost[:2] / lost[2]).sqrt()
            errors.append(BlockError(float(shares[0]), float(shares[1])))
    return errors


def main() -> None:
    from molmo_ros.train.examples import simulated_questions

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--formats", nargs="*", default=[*SIXTEEN_BITS, *QUANTISED])
    args = parser.parse_args()
    torch.set_num_threads(1)
    prompts = prompts_of([Example(image, query) for image, query in simulated_questions(3)[:1]])
    layers = range(StoredParameters(CHECKPOINT).config.decoder.layers)
    print(f"| format | | {' | '.join(f'block {layer}' for layer in layers)} |\n{'|---' * (2 + len(layers))}|")
    for precision in args.formats:
        for lowering in LOWERINGS:
            errors = block_errors(precision, lowering, prompts)
            if lowering == LOWERINGS[0]:
                print(f"| {precision} | torch | {' | '.join(f'{one.torch:.2%}' for one in errors)} |")
            print(f"| | {lowering} | {' | '.join(f'{one.network:.2%}' for one in errors)} |", flush=True)


if __name__ == "__main__":
    main()
