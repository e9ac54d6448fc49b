# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How a model's scores become the next token, and a token the next input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from molmo_ros.molmo.errors import GenerationError
from molmo_ros.molmo.running.runtime import Runtime, StepOutput


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
    """How scores become the next token, and a token the next input; for one answer, in order."""

    def choose(self, output: StepOutput) -> Choice:
        """The next token, from the decoder's output at the last position."""

    def choices(self, output: StepOutput, draft: Sequence[int]) -> Iterator[Choice]:
        """The next tokens, from the decoder's output [1, 1 + len(draft), ...] at the last position and a draft's.

        One after the other, up to the first that is not the draft's, or the one that follows the whole draft: what
        `choose` and `embed` give in turns. Tokens of the draft that were chosen count as embedded.
        """

    def embed(self, token: int) -> Tensor:
        """The embedding [1, 1, width] of a token that was chosen, which is the answer's next from now on."""

    def ahead(self) -> Chooser:
        """One that can be asked to embed what is not chosen yet; this one stays where it is."""

    def takes(self, token: int) -> bool:
        """Whether a token could come next at all."""


class Greedy:
    """The likeliest token, again and again. Source of truth for ties: the lowest id."""

    def __init__(self, runtime: Runtime) -> None:
        self._embedding, self._ids = runtime.embedding, runtime.config.decoder

    def choose(self, output: StepOutput) -> Choice:
        """See `Chooser`."""
        return likeliest(output.logits[0, -1])

    def choices(self, output: StepOutput, draft: Sequence[int]) -> Iterator[Choice]:
        """See `Chooser`."""
        logits = output.logits[0]
        if len(logits) == 1:
            yield likeliest(logits[0])
            return
        scores, tokens = logits.max(dim=-1)
        best = torch.stack((scores.float(), tokens.float())).T.tolist()  # in one read, as in `likeliest`
        for row, (score, token) in enumerate(best):
            check_finite(score, logits.dtype)
            yield Choice(int(token), logits[row])
            if row == len(draft) or int(token) != draft[row]:
                return

    def embed(self, token: int) -> Tensor:
        """See `Chooser`."""
        return self._embedding.row(token)

    def ahead(self) -> Greedy:
        """See `Chooser`."""
        return self

    def takes(self, token: int) -> bool:
        """See `Chooser`."""
        return 0 <= token < self._ids.vocab + self._ids.extra_vocab


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
    check_finite(best, dtype or logits.dtype)
    return Choice(int(token), logits)


def check_finite(score: float, dtype: torch.dtype) -> None:
    """Refuses the highest of a token's scores where it is none.

    Args:
        score: The highest.
        dtype: What the model computed it in.

    Raises:
        GenerationError: It is not finite.
    """
    if not math.isfinite(score):
        wider = "; try bfloat16 or float32, which reach further" if dtype is torch.float16 else ""
        name = str(dtype).removeprefix("torch.")
        raise GenerationError(f"the model's scores hold {score}, computed as {name}{wider}")
