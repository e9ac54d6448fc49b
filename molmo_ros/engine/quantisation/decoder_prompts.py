# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Prompts that a decoder is calibrated on: pictures with queries, as they are when they enter its first block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from molmo_ros.engine.errors import EngineError
from molmo_ros.molmo.network.model import MolmoModel, embed_prompt, prefill_mask
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import torch_dtype
from molmo_ros.molmo.weights.stored_parameters import StoredParameters

BEFORE_BLOCKS = ("vision.", "connector.", "decoder.embedding.", "point_head.")


class Example(NamedTuple):
    """A picture and what is said about it.

    Attributes:
        image: uint8 RGB [h, w, 3].
        query: What the user says.
        answer: What the model is expected to say; where it is known, decoding is calibrated too.
    """

    image: np.ndarray
    query: str
    answer: str = ""


class Prompt(NamedTuple):
    """One prompt at the decoder's entry.

    Attributes:
        embeddings: [1, L, width].
        mask: Boolean [1, 1, L, L].
        words: How many tokens follow those of the image.
    """

    embeddings: Tensor
    mask: Tensor
    words: int


def open_before_blocks(folder: Path, dtype: str = "float32") -> Molmo:
    """A checkpoint without its decoder's blocks and head, which encodes images and embeds prompts.

    Args:
        folder: The checkpoint's.
        dtype: What it computes in.

    Raises:
        CheckpointError: See `StoredParameters`.
    """
    stored = StoredParameters(folder)
    with torch.device("meta"):
        model = MolmoModel(stored.config)
    state = {
        name: torch.empty(shape, dtype=torch_dtype(dtype), device="cpu")
        for name, shape in stored.shapes.items()
        if name.startswith(BEFORE_BLOCKS)
    }
    stored.fill(state)
    model.load_state_dict(state, assign=True, strict=False)
    return Molmo.from_runtime(TorchRuntime(model.eval()), folder)


@torch.inference_mode()
def calibration_prompts(molmo: Molmo, examples: Sequence[Example]) -> list[Prompt]:
    """The prompts of examples, answers included.

    Args:
        molmo: A whole model, or one from `open_before_blocks`.
        examples: At least one.

    Raises:
        EngineError: There are no examples.
        ImageError: A picture is none.
        PromptError: A query is empty, or longer than the model's context.
    """
    if not examples:
        raise EngineError("calibration needs at least one picture with a query")
    return [_prompt(molmo, example) for example in examples]


def _prompt(molmo: Molmo, example: Example) -> Prompt:
    encoded, runtime = molmo.encode(example.image), molmo.runtime
    prefix = encoded.prefix
    query = molmo.prompts.query(example.query, len(prefix))
    answer = np.array(molmo.tokenizer.encode(example.answer) if example.answer else [], dtype=np.int64)
    words = np.concatenate([query, answer])[: molmo.prompts.max_tokens - len(prefix)]
    ids = torch.from_numpy(np.concatenate([prefix.ids, words])).unsqueeze(0)
    is_image, is_patch = (
        torch.from_numpy(np.pad(flags, (0, len(words)))).unsqueeze(0)
        for flags in (prefix.is_image, prefix.is_patch)
    )
    embeddings = embed_prompt(runtime.embedding, ids, encoded.features, is_patch)
    return Prompt(embeddings, prefill_mask(is_image, runtime.config.image_block), len(words))
