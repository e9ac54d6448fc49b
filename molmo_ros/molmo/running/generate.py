# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Greedy decoding over a static KV cache, with every way in which it can end."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from numbers import Integral, Real
from typing import Literal, Protocol

import torch
from torch import Tensor

from molmo_ros.molmo.errors import GenerationError, MolmoError
from molmo_ros.molmo.running.runtime import Cache, Runtime, StepOutput

ANSWER_TOKENS = 448
"""Enough for 40 points of Molmo2 or 25 of 0924, and for a description."""
COUNT_TOKENS = 3584
"""Enough for 300 points of Molmo2; 0924 counts as far as its context of 4096 goes."""


class StopReason(str, Enum):
    """Why generation ended."""

    EOS = "eos"
    SATISFIED = "satisfied"
    """The caller has what it wanted, such as the first point."""
    MAX_NEW_TOKENS = "max_new_tokens"
    CONTEXT = "context"
    """The model's context is full."""
    TIME_LIMIT = "time_limit"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class GenerateOptions:
    """Limits of one answer.

    Attributes:
        max_new_tokens: Longest answer [tokens]; "auto" is `ANSWER_TOKENS`, or `COUNT_TOKENS` for a count. A point
            takes about 11 of Molmo2's tokens, 18 of those of 0924 and 5 of MolmoPoint's.
        time_limit: Longest time for the whole query, image processing included [s]; None for no limit. It is
            looked at between stages and between tokens, so one stage may overrun it.
    """

    max_new_tokens: int | Literal["auto"] = "auto"
    time_limit: float | None = None

    def __post_init__(self) -> None:
        tokens, limit = self.max_new_tokens, self.time_limit
        if not (tokens == "auto" or (isinstance(tokens, Integral) and tokens >= 1)):
            raise MolmoError(
                f"max_new_tokens is {tokens!r:.80}; it must be a whole number, at least 1, or 'auto'"
            )
        if limit is not None and not (isinstance(limit, Real) and limit > 0):
            raise MolmoError(f"time_limit is {limit!r:.80} s; it must be positive, or None for no limit")

    def tokens(self, counting: bool) -> int:
        """The longest answer to a count, or to anything else."""
        if isinstance(self.max_new_tokens, str):
            return COUNT_TOKENS if counting else ANSWER_TOKENS
        return self.max_new_tokens


@dataclass(frozen=True)
class Limits:
    """What can end a query from outside, checked between its stages and between tokens.

    Attributes:
        deadline: On the clock of `time.monotonic` [s]; None for none.
        cancel: Ends the query when set.
    """

    deadline: float | None = None
    cancel: threading.Event | None = None

    def reached(self) -> StopReason | None:
        """The limit that has been reached, if any; cancelling counts before time."""
        if self.cancel is not None and self.cancel.is_set():
            return StopReason.CANCELLED
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return StopReason.TIME_LIMIT
        return None


@dataclass(frozen=True)
class Generation:
    """What `generate` made.

    Attributes:
        token_ids: Without the EOS that ended it.
        stop: Why it ended.
        prefill_ms: Wall time from the start to the first token's scores [ms].
        decode_ms: Wall time of everything after that [ms].
    """

    token_ids: tuple[int, ...]
    stop: StopReason
    prefill_ms: float = 0.0
    decode_ms: float = 0.0


@dataclass(frozen=True)
class Choice:
    """One token of an answer.

    Attributes:
        token: Its id.
        logits: The scores it was chosen by, float [vocab]; their softmax is the model's distribution. -inf for
            what a grammar forbids.
        candidates: Only for a token that is part of a point, the scores [n] of those it was chosen among: all
            patches and, last, "no more points"; the slots of the patch; the places in the slot. Those that
            cannot be chosen are at -1e5 or below, so a softmax leaves nothing for them.
        candidate: Which of the candidates the token is, from 0.
    """

    token: int
    logits: Tensor
    candidates: Tensor | None = None
    candidate: int = -1


class Chooser(Protocol):
    """How scores become the next token, and a token the next input."""

    def choose(self, output: StepOutput) -> Choice:
        """The next token, from the decoder's output at the last position."""

    def embed(self, token: int) -> Tensor:
        """The embedding [1, 1, width] of a token that was chosen."""


class Greedy:
    """The likeliest token, again and again. Source of truth for ties: the lowest id."""

    def __init__(self, runtime: Runtime) -> None:
        self._embedding = runtime.embedding

    def choose(self, output: StepOutput) -> Choice:
        """See `Chooser`."""
        return likeliest(output.logits[0, -1])

    def embed(self, token: int) -> Tensor:
        """See `Chooser`."""
        return self._embedding.row(token)


def likeliest(logits: Tensor, dtype: torch.dtype | None = None) -> Choice:
    """The highest of the scores [vocab]; the lowest id where several are equal.

    Args:
        logits: The scores.
        dtype: What the model computed them in, for the message; default: their own.

    Raises:
        GenerationError: The scores are not finite.
    """
    score, chosen = logits.max(dim=-1)
    # Both in one read, since a GPU stands still for each: as float32, which holds all integers up to 2^24.
    best, token = torch.stack((score.float(), chosen.float())).tolist()
    if not math.isfinite(best):
        dtype = dtype or logits.dtype
        wider = "; try bfloat16 or float32, which reach further" if dtype is torch.float16 else ""
        name = str(dtype).removeprefix("torch.")
        raise GenerationError(f"the model's scores hold {best}, computed as {name}{wider}")
    return Choice(int(token), logits)


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
) -> Generation:
    """Continues a prompt token by token.

    Args:
        runtime: Runs the model.
        cache: Holds the prompt's first `cache.length` tokens already; the rest and the answer are added. It
            must have room for them: up to `max_new_tokens - 1` slots beyond the prompt.
        embeddings: [1, L, width], the prompt's remaining tokens.
        mask: Boolean [1, 1, L, cache.length + L], see `Runtime.prefill`.
        max_new_tokens: Longest answer.
        eos_ids: Tokens that end it.
        limits: Deadline and cancellation.
        chooser: How tokens are chosen; default `Greedy`.
        on_token: Called with each token but EOS; True ends the answer with `StopReason.SATISFIED`.

    Raises:
        GenerationError: The scores are not finite.
        PromptError: The cache is too small.
    """
    limits = limits or Limits()
    stop = limits.reached()
    if stop is not None:
        return Generation((), stop)
    chooser = chooser or Greedy(runtime)
    started = time.perf_counter()
    choice = chooser.choose(runtime.prefill(embeddings, mask, cache))
    prefilled = time.perf_counter()
    token_ids: list[int] = []
    while True:
        stop = limits.reached()
        if stop is not None:
            break
        if choice.token in eos_ids:
            stop = StopReason.EOS
            break
        token_ids.append(choice.token)
        if on_token is not None and on_token(choice):
            stop = StopReason.SATISFIED
            break
        if len(token_ids) >= max_new_tokens:
            stop = StopReason.MAX_NEW_TOKENS
            break
        choice = chooser.choose(runtime.decode(chooser.embed(choice.token), cache))
    ended = time.perf_counter()
    return Generation(tuple(token_ids), stop, (prefilled - started) * 1e3, (ended - prefilled) * 1e3)
