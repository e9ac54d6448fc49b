# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Passes over a few tokens, such as those that verify guesses, at one of few widths, so that each can be recorded.

What is left of a width is copies of the last token: they go to slots that nobody sees, and see what it sees, so that
they are numbers wherever it is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from molmo_ros.molmo.config import DecoderConfig

VERIFY_WIDTHS = (4, 8, 16, 32, 64)
"""Tokens of the passes that are recorded beside those of one token: the longest guess of one answer, and of several."""
VERIFY_STEP = 1024
"""As `WIDTH_STEP`, for passes over a few tokens: slots that nobody sees cost little beside the weights, and a recording
of each width is made for each step."""


def verify_width(count: int, start: int, slots: int, widths: Sequence[int] = VERIFY_WIDTHS) -> int | None:
    """How many tokens a recorded pass over `count` of them has; None where none is made for it.

    Args:
        count: Tokens.
        start: The slot of the first one.
        slots: Of the cache.
        widths: That there are, in order.
    """
    width = next((one for one in widths if one >= count), None)
    # A prompt's beginning is not a pass that comes again.
    return width if width is not None and count > 1 and 0 < start <= slots - width else None


def verify_slots(end: int, slots: int) -> int:
    """How many slots a recorded pass reads whose tokens end at slot `end`, of a cache of `slots`."""
    return min(math.ceil(end / VERIFY_STEP) * VERIFY_STEP, slots)


def verify_kinds(slots: int, widths: Sequence[int] = VERIFY_WIDTHS) -> list[tuple[int, int]]:
    """A pass for every recording that answers need: how many tokens it has, and where it starts."""
    starts = [1, *range(VERIFY_STEP, slots, VERIFY_STEP)]
    return [(width, start) for start in starts for width in widths if start + width <= slots]


class FixedPass:
    """Memory for what passes of fixed widths take and give, as much as the widest needs, at one address each.

    Attributes:
        embeddings: [1, n, width].
        positions: int64 [1, n].
        places: int64 [n], the slots they go to.
        scored: int64 [n], which of the tokens get scores.
        logits: [1, n, vocab], of those.
        states: [1, n, width].
    """

    def __init__(
        self,
        config: DecoderConfig,
        slots: int,
        zeros: Callable[[tuple[int, ...], torch.dtype], Tensor],
        dtype: torch.dtype,
        logits: torch.dtype | None = None,
    ) -> None:
        """Takes the memory.

        Args:
            config: The decoder's shape.
            slots: Of the cache.
            zeros: Makes a tensor of a shape and a type where the passes run.
            dtype: Of embeddings and states.
            logits: Of the scores; default: the same.
        """
        most, vocab = VERIFY_WIDTHS[-1], config.vocab + (config.extra_vocab if config.extra_head else 0)
        self.embeddings, self.states = (zeros((1, most, config.width), dtype) for _ in range(2))
        self.positions, self.places = zeros((1, most), torch.int64), zeros((most,), torch.int64)
        self.scored, self._numbers = zeros((most,), torch.int64), zeros((most,), torch.int64)
        self._numbers += torch.arange(most, dtype=torch.int64, device=self._numbers.device)
        self._sees = zeros((most * slots,), torch.bool)
        self.logits = zeros((1, most, vocab), logits or dtype)

    def mask(self, width: int, read: int) -> Tensor:
        """What the tokens see, boolean [1, 1, width, read]."""
        return self._sees[: width * read].view(1, 1, width, read)

    def set(
        self,
        width: int,
        read: int,
        embeddings: Tensor,
        mask: Tensor,
        positions: Tensor,
        start: int,
        logits_for: Tensor | None,
    ) -> None:
        """What the next pass of a width takes.

        Args:
            width: Its tokens, at least as many as there are.
            read: Slots that it reads.
            embeddings: [1, n, width of the model].
            mask: Boolean [1, 1, n, start + n].
            positions: int64 [1, n].
            start: The slot of the first token.
            logits_for: int64 [m]; None for the last token.
        """
        count, columns = mask.shape[2:]
        last, sees = count - 1, self.mask(width, read)[0, 0]
        self.embeddings[:, :count] = embeddings
        self.embeddings[:, count:width] = embeddings[:, last:]
        self.positions[:, :count] = positions
        self.positions[:, count:width] = positions[:, last:]
        sees[:, columns:] = False
        sees[:count, :columns] = mask[0, 0]
        sees[count:, :columns] = mask[0, 0, last:]
        torch.add(self._numbers, start, out=self.places)
        self.scored.fill_(last)
        if logits_for is not None:
            self.scored[: len(logits_for)] = logits_for
