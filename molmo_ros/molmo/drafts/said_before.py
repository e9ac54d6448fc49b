# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What followed the same few tokens in earlier answers, whatever they were about."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterator, Sequence

CONTEXT = 3
MOST = 16384
"""Contexts that are remembered; the oldest go first."""
START, LABEL, NUMBER = -1, -2, -3
"""Where an answer begins, the words that were asked for in it, and any number among what came before: no tokens."""


class SaidBefore:
    """The token that last came after `CONTEXT` others: after the same ones, or after others with other numbers."""

    def __init__(self, numbers: Container[int]) -> None:
        """Knows nothing yet.

        Args:
            numbers: The tokens that are digits.
        """
        self._numbers = numbers
        self._next: OrderedDict[tuple[int, ...], int] = OrderedDict()

    def learn(self, symbols: Sequence[int]) -> None:
        """Remembers an answer: its tokens, with `LABEL` where it names what was asked for."""
        row = [START] * CONTEXT + list(symbols)
        for place in range(CONTEXT, len(row)):
            context = tuple(row[place - CONTEXT : place])
            for one in {context, self._alike(context)}:
                self._next[one] = row[place]
                self._next.move_to_end(one)
        while len(self._next) > MOST:
            self._next.popitem(last=False)

    def follow(self, symbols: Sequence[int]) -> Iterator[int]:
        """What may come after these, as long as anything is known."""
        context = tuple([START] * CONTEXT + list(symbols[-CONTEXT:]))[-CONTEXT:]
        while (symbol := self._next.get(context, self._next.get(self._alike(context)))) is not None:
            yield symbol
            context = (*context[1:], symbol)

    def _alike(self, context: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(NUMBER if symbol in self._numbers else symbol for symbol in context)
