"""Greedy decoding over a static KV cache, with every way in which it can end."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.kv_cache import KVCache
from molmo_ros.molmo.model import MolmoModel


class GenerationError(RuntimeError):
    """The model's scores are not numbers, as when float16 overflows."""


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
        max_new_tokens: Longest answer [tokens]; 192 are enough for ten points of either format.
        time_limit: Longest time for the whole query, image processing included [s]; None for no limit. It is
            looked at between stages and between tokens, so one stage may overrun it.
    """

    max_new_tokens: int = 448
    time_limit: float | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise MolmoError(f"max_new_tokens is {self.max_new_tokens}; it must be at least 1")
        if self.time_limit is not None and not self.time_limit > 0:
            raise MolmoError(f"time_limit is {self.time_limit} s; it must be positive, or None for no limit")


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


@torch.inference_mode()
def generate(
    model: MolmoModel,
    cache: KVCache,
    embeddings: Tensor,
    mask: Tensor,
    *,
    max_new_tokens: int,
    eos_ids: Collection[int],
    limits: Limits | None = None,
    on_token: Callable[[int], bool] | None = None,
) -> Generation:
    """Continues a prompt with the likeliest token, again and again.

    Ids of the additional special tokens cannot come out: the head scores the base vocabulary only.

    Args:
        model: The model.
        cache: Holds the prompt's first `cache.length` tokens already; the rest and the answer are added. It
            must have room for them: up to `max_new_tokens - 1` slots beyond the prompt.
        embeddings: [1, L, width], the prompt's remaining tokens.
        mask: Boolean [1, 1, L, cache.length + L], see `Decoder.forward`.
        max_new_tokens: Longest answer.
        eos_ids: Tokens that end it.
        limits: Deadline and cancellation.
        on_token: Called with each token but EOS; True ends the answer with `StopReason.SATISFIED`.

    Raises:
        GenerationError: The scores are not finite.
        PromptError: The cache is too small.
    """
    limits = limits or Limits()
    stop = limits.reached()
    if stop is not None:
        return Generation((), stop)
    started = time.perf_counter()
    positions = torch.arange(cache.length, cache.length + embeddings.shape[1], device=embeddings.device)
    output = model.decoder(embeddings, positions.unsqueeze(0), mask, cache, slice(-1, None))
    token = _likeliest(output.logits)
    prefilled = time.perf_counter()
    token_ids: list[int] = []
    while True:
        stop = limits.reached()
        if stop is not None:
            break
        if token in eos_ids:
            stop = StopReason.EOS
            break
        token_ids.append(token)
        if on_token is not None and on_token(token):
            stop = StopReason.SATISFIED
            break
        if len(token_ids) >= max_new_tokens:
            stop = StopReason.MAX_NEW_TOKENS
            break
        token = _next_token(model, cache, token)
    ended = time.perf_counter()
    return Generation(tuple(token_ids), stop, (prefilled - started) * 1e3, (ended - prefilled) * 1e3)


def _next_token(model: MolmoModel, cache: KVCache, token: int) -> int:
    device = cache.keys.device
    ids = torch.tensor([[token]], device=device)
    position = torch.tensor([[cache.length]], device=device)
    return _likeliest(model.decoder(model.embed(ids), position, None, cache).logits)


def _likeliest(logits: Tensor) -> int:
    """The index of the highest of the last position's scores; the lowest one where several are equal."""
    last = logits[0, -1]
    index = int(last.argmax())
    best = float(last[index])
    if not math.isfinite(best):
        raise GenerationError(f"the model's scores hold {best}; try dtype bfloat16 or float32")
    return index
