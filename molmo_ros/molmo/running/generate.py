# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Greedy decoding over a static KV cache: of one answer, or of several behind the same beginning."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from molmo_ros.molmo.running.choosing import Choice, Chooser, Greedy
from molmo_ros.molmo.running.drafting import Aside, Drafter, PassTimer
from molmo_ros.molmo.running.generation import Generation, Limits
from molmo_ros.molmo.running.pack import Pack, Shared
from molmo_ros.molmo.running.runtime import Cache, Runtime
from molmo_ros.molmo.running.turn import AnswerRequest, Turn


@torch.inference_mode()
def generate(
    runtime: Runtime,
    cache: Cache,
    embeddings: Tensor,
    mask: Tensor,
    *,
    max_new_tokens: int,
    eos_ids: Collection[int],
    limits: Limits | None = None,
    chooser: Chooser | None = None,
    on_token: Callable[[Choice], bool] | None = None,
    drafter: Drafter | None = None,
    asides: Sequence[Aside] = (),
    on_states: Callable[[Tensor], None] | None = None,
) -> Generation:
    """Continues a prompt.

    Args:
        runtime: Runs the model.
        cache: Holds the prompt's first `cache.length` tokens already; the rest and the answer are added. It
            must have room for them: up to `max_new_tokens - 1` slots beyond the prompt. Guesses and asides take what
            else there is.
        embeddings: [1, L, width], the prompt's remaining tokens.
        mask: Boolean [1, 1, L, cache.length + L], see `Runtime.prefill`.
        max_new_tokens: Longest answer.
        eos_ids: Tokens that end it.
        limits: Deadline and cancellation.
        chooser: How tokens are chosen; default `Greedy`.
        on_token: Called with each token but EOS; True ends the answer with `StopReason.SATISFIED`.
        drafter: Guesses tokens, which are verified together; None for a pass each.
        asides: What is scored beside the answer.
        on_states: See `Shared`.

    Raises:
        GenerationError: The scores are not finite.
        PromptError: The cache is too small.
    """
    request = AnswerRequest(
        None,
        chooser or Greedy(runtime),
        max_new_tokens,
        eos_ids,
        limits or Limits(),
        on_token,
        drafter,
        asides,
    )
    (answer,) = generate_together(runtime, cache, Shared(embeddings, mask, on_states), [request])
    if isinstance(answer, Exception):
        raise answer
    return answer


@torch.inference_mode()
def generate_together(
    runtime: Runtime,
    cache: Cache,
    shared: Shared,
    requests: Sequence[AnswerRequest],
    timer: PassTimer | None = None,
) -> list[Generation | Exception]:
    """Several answers behind the same beginning, one pass a step for all. Each is what it would be alone.

    Args:
        runtime: Runs the model.
        cache: Holds the shared tokens' first `cache.length` already. It must have room for the longest of the answers
            alone; where it has none for all at once, some wait.
        shared: The rest of what is shared.
        requests: The answers. What ends or fails one leaves the others alone.
        timer: Learns what passes cost.

    Returns:
        What came of each request, or the error that ended it.

    Raises:
        PromptError: The cache is too small.
    """
    turns = [Turn(request) for request in requests]
    Pack(runtime, cache, shared, turns, timer).run()
    return [turn.outcome for turn in turns]
