# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Passes over a few tokens, such as those that verify guesses, at one of few widths, so that each can be recorded.

What is left of a width is copies of the last token: they go to slots that nobody sees, and see what it sees, so that
they are numbers wherever it is one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from molmo_ros.molmo.config import DecoderConfig
from molmo_ros.molmo.running.verify_widths import VERIFY_WIDTHS


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
