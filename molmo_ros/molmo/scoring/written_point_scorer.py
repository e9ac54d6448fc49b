# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The evidence for points that are written as numbers: which other numbers could have been written.

Near means within `TOLERANCE` of the written x, and of the written y given that x. A number of several tokens is
followed along the digits that were written; where another token could have come, the digits after it were never
computed, and all of them count as equally likely. With one token for a whole number the mass is exact.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from molmo_ros.molmo.running.choosing import Choice
from molmo_ros.molmo.scoring.confidence import PointEvidence
from molmo_ros.molmo.scoring.written_number import LONGEST_POINT, NUMBER, TOLERANCE, near_share

LOOKBACK = 40
"""Tokens kept for the next point; the longest way to write one takes about half of them."""

_LONGEST_TOKEN = 9
"""Digits; some vocabularies have tokens for longer rows of them, which are no coordinates."""


@dataclass(frozen=True)
class Alternatives:
    """The number tokens that can stand in each other's place: all that begin with a blank, or all that do not.

    Attributes:
        ids: int64 [n].
        places: Where each id is in `ids`.
        values: float64 [n], the numbers they write.
        lengths: int64 [n], how many digits.
    """

    ids: Tensor
    places: Mapping[int, int]
    values: np.ndarray
    lengths: np.ndarray


class NumberTokens:
    """The tokens of a vocabulary that write digits, by id."""

    def __init__(self, texts: Mapping[int, str], device: torch.device | str = "cpu") -> None:
        """Takes the tokens.

        Args:
            texts: Ids and texts of all tokens that are digits, after one blank or none (`Tokenizer.number_tokens`).
            device: Where scores are.
        """
        self._device = device
        self._texts = {i: text for i, text in texts.items() if len(text) <= _LONGEST_TOKEN}
        self._alternatives = {blank: self._beginning(blank) for blank in (False, True)}

    def digits(self, token: int) -> str:
        """The digits that a token writes; none where it is no number."""
        return self._texts.get(token, "").lstrip()

    def alternatives(self, token: int) -> Alternatives:
        """What could stand where this number token stands, itself included."""
        return self._alternatives[self._texts[token].startswith(" ")]

    def _beginning(self, blank: bool) -> Alternatives:
        ids = [token for token, text in sorted(self._texts.items()) if text.startswith(" ") == blank]
        digits = [self.digits(token) for token in ids]
        lengths = np.array([len(one) for one in digits], dtype=np.int64)
        values = np.array([int(one) for one in digits], dtype=np.float64)
        places = {token: place for place, token in enumerate(ids)}
        return Alternatives(
            torch.tensor(ids, dtype=torch.int64, device=self._device), places, values, lengths
        )


@dataclass
class _Step:
    """One token: its characters [start, end) of the text, and once they are read its probability, and those of its
    alternatives."""

    start: int
    end: int
    token: int
    number: bool
    unread: Tensor | None
    probability: float = 0.0
    alternatives: np.ndarray | None = None


class WrittenPointScorer:
    """See `PointScorer`."""

    def __init__(self, numbers: NumberTokens, tolerance: float = TOLERANCE) -> None:
        self._numbers, self._tolerance = numbers, tolerance
        self._steps: deque[_Step] = deque(maxlen=LOOKBACK)
        self._text = ""
        self.empty = 0.0
        self._last: tuple[int, int] | None = None  # the last point's end, and where its tag was opened

    def feed(self, choice: Choice, piece: str) -> None:
        """See `PointScorer`."""
        start = len(self._text)
        self._text += piece
        is_number = bool(self._numbers.digits(choice.token))
        if not is_number and self._text.rfind("<") <= self._text.rfind(">", 0, start):
            return  # outside of a tag: no part of a point
        probabilities = torch.softmax(choice.logits.float(), dim=-1)
        if is_number:
            others = self._numbers.alternatives(choice.token)
            kept = probabilities.index_select(0, others.ids.to(probabilities.device))
        else:
            kept = probabilities[choice.token].clone().view(1)  # not the whole vocabulary's
        self._steps.append(_Step(start, len(self._text), choice.token, is_number, kept))

    def point(self, end: int) -> PointEvidence | None:
        """See `PointScorer`."""
        begin = max(0, end - LONGEST_POINT)
        spans = [match.span() for match in NUMBER.finditer(self._text, begin, end)][-2:]
        tag = self._text.rfind("<", 0, end)
        last, self._last = self._last, (end, tag)
        if len(spans) < 2 or not self._steps or spans[0][0] < self._steps[0].start:
            return None
        self._read()
        continued = None
        if last is not None:
            continued = self._going_on(last[0], spans[0][0]) if last[1] == tag else 1.0
        near = tuple(self._near(*span) for span in spans)
        tokens = tuple(step.probability for span in spans for step in self._writing(*span))
        return PointEvidence(continued, near, tokens)

    def _read(self) -> None:
        """Brings the probabilities of all steps to the host, in one read: a GPU stands still for each."""
        steps = [(step, step.unread) for step in self._steps if step.unread is not None]
        if not steps:
            return
        values = torch.cat([unread for _, unread in steps]).cpu().numpy()
        for step, unread in steps:
            own, values = values[: len(unread)], values[len(unread) :]
            step.unread, place = None, 0
            if step.number:
                step.alternatives, place = own, self._numbers.alternatives(step.token).places[step.token]
            step.probability = float(own[place])

    def _going_on(self, start: int, end: int) -> float:
        """Probability of the tokens between two points of one tag, from the last character of the first point."""
        return math.prod(step.probability for step in self._steps if start <= step.end <= end)

    def _writing(self, start: int, end: int) -> list[_Step]:
        return [step for step in self._steps if step.start < end and step.end > start]

    def _near(self, start: int, end: int) -> float:
        """Mass of the numbers within the tolerance of the one written in the text's [start, end)."""
        number = self._text[start:end]
        near = 1.0
        for step in reversed(self._writing(start, end)):
            before = step.end - len(self._numbers.digits(step.token)) - start  # of the number's characters
            if step.alternatives is None or before < 0 or step.end > end:
                near *= step.probability
                continue
            others = self._numbers.alternatives(step.token)
            share = near_share(number, number[:before], others.values, others.lengths, self._tolerance)
            own = float(share[others.places[step.token]])
            near = float(step.alternatives @ share) + step.probability * (near - own)
        return min(max(near, 0.0), 1.0)
