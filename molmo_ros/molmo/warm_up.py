# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a GPU does once, before the first query has to wait for it: recordings, contexts, and what libraries set up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from molmo_ros.molmo.images.crop_budget import TEXT_ROOM
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.generation import ANSWER_TOKENS, GenerateOptions
from molmo_ros.molmo.running.runtime import Runtime
from molmo_ros.molmo.running.static_decode import WIDTH_STEP
from molmo_ros.molmo.running.verify_widths import verify_kinds


def warm_up(molmo: Molmo, progress: Callable[[str], None] = lambda text: None) -> None:
    """Runs everything once that a query runs, and takes the memory of the largest image and its answer.

    On a CPU it does nothing; there the first query waits for little.

    Args:
        molmo: The model.
        progress: Told what is done, as "decoding, width 3 of 9".

    Raises:
        torch.OutOfMemoryError: The GPU has too little memory for such an image and its answer.
    """
    if molmo.runtime.device.type != "cuda":
        return
    progress("the largest image")
    longest = _largest(molmo, progress)
    torch.cuda.empty_cache()  # what torch keeps in reserve the contexts of an engine cannot have
    warm_decoding(molmo.runtime, longest, progress)
    warm_verifying(molmo.runtime, longest, progress)
    progress("the largest image again, beside all that")
    _largest(molmo)  # takes the reserve back, or shows that there is no room for it any more


def _largest(molmo: Molmo, progress: Callable[[str], None] = lambda text: None) -> int:
    """A query about the largest image; returns the tokens that it and its answer may have."""
    encoded = molmo.encode(np.full((*molmo.crop_budget.largest(), 3), 128, np.uint8))
    encoded.asked = True  # what is slow once is no measure of queries
    longest = min(len(encoded.prefix) + TEXT_ROOM + ANSWER_TOKENS, molmo.runtime.max_context)
    # Now, so that the prompt shows whether there is room for it beside the whole cache.
    encoded.cache(longest)
    progress("its prompt")
    molmo.query(encoded, "Point to the thing.", options=GenerateOptions(max_new_tokens=1))
    return longest


@torch.inference_mode()
def warm_verifying(runtime: Runtime, max_len: int, progress: Callable[[str], None]) -> None:
    """Passes over a few tokens of nothing, of every width that is recorded, wherever answers will have them.

    Arguments as of `warm_decoding`.
    """
    cache = runtime.cache(max_len)
    kinds = verify_kinds(cache.max_len)
    for number, (count, start) in enumerate(kinds, 1):
        progress(f"verifying guesses, width {number} of {len(kinds)}")
        shape = (1, count, runtime.config.decoder.width)
        nothing = torch.zeros(shape, dtype=runtime.dtype, device=runtime.device)
        sees = torch.zeros(1, 1, count, start + count, dtype=torch.bool, device=runtime.device)
        sees[..., start:] = torch.eye(count, dtype=torch.bool, device=runtime.device)
        for _ in range(2):
            cache.length = start
            runtime.prefill(nothing, sees, cache)
    cache.truncate(0)


@torch.inference_mode()
def warm_decoding(runtime: Runtime, max_len: int, progress: Callable[[str], None]) -> None:
    """Decodes tokens of nothing at every width of the cache that answers will read.

    Args:
        runtime: The model's. Whoever had its cache begins again.
        max_len: The longest prompt and answer together [tokens], `runtime.max_context` at most.
        progress: Told what is done.
    """
    cache = runtime.cache(max_len)
    nothing = torch.zeros(1, 1, runtime.config.decoder.width, dtype=runtime.dtype, device=runtime.device)
    lengths = range(0, cache.max_len, WIDTH_STEP)
    for number, length in enumerate(lengths, 1):
        progress(f"decoding, width {number} of {len(lengths)}")
        for _ in range(2):  # an engine that does not update its cache in place has two of them, in turn
            cache.length = length
            runtime.decode(nothing, cache)
    cache.truncate(0)
