# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which token may come next in an answer of MolmoPoint, so that its points are whole and in order."""

from __future__ import annotations

import copy
from collections import deque

from molmo_ros.molmo.pointing.point_tokens import PointTokens


class PointGrammar:
    """What may follow the tokens of one answer so far.

    * A patch is followed by a subpatch, that by a location; neither comes anywhere else.
    * No patch comes before the last one. The same patch again takes a later subpatch, and none is left after
      its last.
    * After "no more points" there are no points.

    A patch or subpatch counts as the last one when two more tokens have come after it, as in the reference
    (hub modeling_molmo_point.py, MolmoPointLogitProcessor); that matters only where a point follows another
    at once, without the object's number between them. There the reference can choose a patch whose last
    subpatch is taken, and fails at the next token; here such a patch is closed.
    """

    def __init__(self, tokens: PointTokens) -> None:
        self._tokens = tokens
        self._recent: deque[int] = deque(maxlen=2)
        self._patch: int | None = None
        self._subpatch: int | None = None
        self._newest_patch: int | None = None
        self._newest_subpatch: int | None = None
        self._ended = False

    def copy(self) -> PointGrammar:
        """Another one that has taken the same tokens."""
        other = copy.copy(self)
        other._recent = self._recent.copy()
        return other

    def accept(self, token: int) -> None:
        """Takes the next token of the answer, whatever it is."""
        if len(self._recent) == 2:
            old = self._recent[0]
            self._patch = old if old in self._tokens.patch else self._patch
            self._subpatch = old if old in self._tokens.subpatch else self._subpatch
        self._recent.append(token)
        self._newest_patch = token if token in self._tokens.patch else self._newest_patch
        self._newest_subpatch = token if token in self._tokens.subpatch else self._newest_subpatch
        self._ended |= token == self._tokens.no_more_points

    def forbidden(self) -> list[range]:
        """The ids that cannot come next; all others can."""
        tokens = self._tokens
        last = self._recent[-1] if self._recent else None
        if self._ended:
            return [tokens.all]
        if last in tokens.patch:
            first = tokens.subpatch.start
            if last == self._patch and self._subpatch is not None:
                first = self._subpatch + 1
            return [range(first), tokens.location]
        if last in tokens.subpatch:
            return [range(tokens.location.start)]
        parts = [range(tokens.subpatch.start, tokens.all.stop)]
        final = tokens.subpatch.stop - 1
        if self._patch is not None:
            closed = self._subpatch == final
            parts.append(range(tokens.start, self._patch + closed))
        if self._newest_patch is not None and self._newest_subpatch == final:
            parts.append(range(self._newest_patch, self._newest_patch + 1))
        return parts
