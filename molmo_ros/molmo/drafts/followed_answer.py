# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An earlier answer, followed along the one that is being made."""

from __future__ import annotations

from collections.abc import Sequence

REACH = 24
"""How far from where it was expected the answer is looked for again [tokens]."""
SAME = 2
"""Tokens that must agree to have found it."""


class FollowedAnswer:
    """Where an answer is in an earlier one. A token that differs takes the place of one; where others were put in or
    left out, it is found again by the tokens before."""

    def __init__(self, tokens: Sequence[int]) -> None:
        """At its beginning."""
        self._tokens = tuple(tokens)
        self._next = 0
        self._recent: tuple[int, ...] = ()
        self._lost = False

    def guess(self) -> Sequence[int]:
        """What came after this place."""
        return self._tokens[self._next :]

    def took(self, token: int) -> None:
        """The answer goes on with a token."""
        self._recent = (*self._recent, token)[-SAME:]
        right = self._next < len(self._tokens) and self._tokens[self._next] == token
        self._next += 1
        if right:
            self._lost = False
            return
        if self._lost:  # the second in a row: not one for another
            self._find()
        self._lost = True

    def _find(self) -> None:
        places = range(max(SAME, self._next - REACH), min(len(self._tokens), self._next + REACH) + 1)
        found = [at for at in places if self._tokens[at - SAME : at] == self._recent]
        if found:
            self._next = min(found, key=lambda at: abs(at - self._next))
            self._lost = False
