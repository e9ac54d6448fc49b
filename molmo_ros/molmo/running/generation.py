# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What may end an answer, and what came of generating it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from enum import Enum
from numbers import Integral, Real
from typing import Literal

from molmo_ros.molmo.errors import MolmoError

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
        drafts: Whether the next tokens are guessed and verified together, which changes no token and takes fewer
            passes.
        time_limit: Longest time for the whole query, image processing included [s]; None for no limit. It is
            looked at between stages and between tokens, so one stage may overrun it.
    """

    max_new_tokens: int | Literal["auto"] = "auto"
    time_limit: float | None = None
    drafts: bool = True

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
        passes: How often the network ran for it, the prompt's pass included.
    """

    token_ids: tuple[int, ...]
    stop: StopReason
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    passes: int = 0
