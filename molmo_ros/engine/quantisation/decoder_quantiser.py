# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A decoder quantised block by block, so that no more than one block is ever in memory.

Each block gets what the blocks before it make of the prompts at full precision. What is finished is kept: the same
call goes on where an earlier one was interrupted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.quantisation.block_quantiser import BlockQuantiser
from molmo_ros.engine.quantisation.decoder_prompts import Prompt
from molmo_ros.engine.quantisation.formats import LINEARS, linear_formats
from molmo_ros.engine.quantisation.linear_inputs import InputRecorder
from molmo_ros.engine.quantisation.quantised_linear import ReadParameter
from molmo_ros.engine.quantisation.quantised_parameters import (
    QuantisedParameters,
    block_file,
    made_of,
    write_block,
)
from molmo_ros.molmo.config import DecoderConfig
from molmo_ros.molmo.network.decoder import DecoderBlock
from molmo_ros.molmo.network.rope import RotaryEmbedding


@torch.inference_mode()
def quantise_decoder(
    folder: Path,
    config: DecoderConfig,
    precision: str,
    dtype: torch.dtype,
    read: ReadParameter,
    prompts: Sequence[Prompt],
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> QuantisedParameters:
    """Fills a folder with a decoder's quantised blocks.

    Memory: one block in float32 and some copies of its largest layer, and the prompts.

    Args:
        folder: Of this checkpoint alone; made if it does not exist. Blocks in it that the same precision, dtype and
            prompts made are left as they are.
        config: The decoder's shape.
        precision: One of `formats.QUANTISED`.
        dtype: The engine's, float16 or bfloat16.
        read: Reads a parameter in any floating-point dtype, by the name that `MolmoModel` has for it.
        prompts: From `calibration_prompts`; at least one.
        device: Where it is computed.
        progress: Called with the number of every block that is finished.

    Raises:
        EngineError: There are no prompts, or a file cannot be written.
        UnsupportedBuildError: See `linear_formats`.
    """
    formats = linear_formats(config, precision)
    if not prompts:
        raise EngineError("a decoder is calibrated on at least one prompt; there is none")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(f"{folder} cannot be made: {error.strerror or error}") from error
    key = _key(precision, dtype, prompts)
    todo = [layer for layer in range(config.layers) if made_of(block_file(folder, layer)) != key]
    states = [prompt.embeddings.to(device, torch.float32) for prompt in prompts]
    for layer in range(max(todo, default=-1) + 1):
        within = {
            name: formats[f"decoder.blocks.{layer}.{name}"]
            for name in LINEARS
            if f"decoder.blocks.{layer}.{name}" in formats
        }
        block = read_block(config, layer, read, device)
        recorder = InputRecorder(len(prompts))
        for number, prompt in enumerate(prompts):
            with recorder.listening(block, prompt.words):
                states[number] = block_states(config, layer, block, states[number], prompt.mask.to(device))
        if layer in todo:
            parameters = {name: value.detach() for name, value in block.named_parameters()}
            quantiser = BlockQuantiser(config, within, dtype)
            write_block(block_file(folder, layer), quantiser.quantise(parameters, recorder.inputs()), key)
        if progress is not None:
            progress(layer)
    return QuantisedParameters(folder, config, precision, read)


def read_block(
    config: DecoderConfig, layer: int, read: ReadParameter, device: torch.device | str
) -> DecoderBlock:
    """A block with its parameters, float32."""
    with torch.device("meta"):
        block = DecoderBlock(config, layer, "sdpa")
    state = {
        name: read(f"decoder.blocks.{layer}.{name}").to(device, torch.float32) for name in block.state_dict()
    }
    block.load_state_dict(state, assign=True)
    return block.eval()


def block_states(config: DecoderConfig, layer: int, block: DecoderBlock, x: Tensor, mask: Tensor) -> Tensor:
    """What a block makes of a prompt's states [1, L, width], with a boolean mask [1, 1, L, L]."""
    scaling = config.rope_scaling
    scaled = scaling is not None and layer in scaling.layers
    rotary = RotaryEmbedding(config.head_dim, config.rope_theta, scaling if scaled else None)
    positions = torch.arange(x.shape[1], dtype=torch.int64, device=x.device).unsqueeze(0)
    return block(x, rotary(positions), mask, None, 0)


def _key(precision: str, dtype: torch.dtype, prompts: Sequence[Prompt]) -> str:
    """Tells whether a block was made of the same."""
    digest = hashlib.sha256(f"{precision} {dtype}".encode())
    for prompt in prompts:
        digest.update(prompt.embeddings.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
