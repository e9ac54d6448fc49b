# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How sure a model was, from the log probabilities that a server tells: those of the likeliest tokens.

As `written_point_scorer.py`. Where a vocabulary writes digits one by one, the twenty likeliest tokens hold all that
could stand there. Where it has a token for each number, they do not: numbers near the written one that were not told
are taken to be nearly as likely as the least likely one that was. Nothing was calibrated on these scores.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from molmo_ros.molmo.scoring.confidence import PointEvidence
from molmo_ros.molmo.scoring.written_number import LONGEST_POINT, NUMBER, TOLERANCE, near_share
from molmo_ros.remote.answer_chunk import TokenChances

if TYPE_CHECKING:  # it imports torch
    from molmo_ros.molmo.running.choosing import Choice

LOOKBACK = 64
"""Tokens kept for the next point; servers may tell of single digits."""
_LONGEST_TOKEN = 9
NEAR_SHARE = 0.8
"""How much of the mass that was not told, and that has room near the written number, is taken to be there: the error
is then 0.034 (mean) on 84 points of the embedded model, whose numbers are a token each, and 0.39 without."""
NEGLIGIBLE = 1e-4
"""Mass that was not told [1]."""


@dataclass(frozen=True)
class _Token:
    """A token of the answer: its characters [start, end) of the text."""

    start: int
    end: int
    chances: TokenChances

    @property
    def digits(self) -> str:
        return _digits(self.chances.text)


class ServedConfidence:
    """See `Confidence`; scores are not calibrated.

    Attributes:
        calibrated: Never.
    """

    calibrated = False

    def __init__(self, not_found: Iterable[str]) -> None:
        """Starts before the first token.

        Args:
            not_found: The sentences that say that nothing is there.
        """
        self._tokens: deque[_Token] = deque(maxlen=LOOKBACK)
        self._text = self._spelled = ""
        self._known = True
        self._followers = [_Sentence(begin + one.strip()) for one in not_found for begin in ("", " ")]
        self._begun = False
        self._last: tuple[int, int] | None = None  # the last point's end, and where its tag was opened

    def feed(self, choice: Choice, piece: str) -> None:
        """See `Confidence`: nothing, as tokens are not chosen here."""

    def take(self, piece: str, chances: Sequence[TokenChances] | None) -> None:
        """Takes the next piece of the answer, before its points are looked for.

        Args:
            piece: Of the text.
            chances: Of its tokens; what is told has to spell the piece, or no point is scored from there on.
        """
        if chances:
            for one in chances:
                self._tokens.append(_Token(len(self._text), len(self._text) + len(one.text), one))
                self._text += one.text
                for follower in self._followers:
                    follower.take(one)
            self._begun = True
        self._spelled += piece
        # A token may come before its text, where a character is made of several.
        self._known &= self._text.startswith(self._spelled) or self._spelled.startswith(self._text)
        if piece and not chances and len(self._spelled) > len(self._text):
            self._known = False

    def point(self, end: int) -> float | None:
        """See `Confidence`."""
        evidence = self._evidence(end) if self._known else None
        return None if evidence is None else evidence.score(self.not_found or 0.0)

    @property
    def not_found(self) -> float | None:
        """See `Confidence`: at most this, where the answer left the sentence before its end."""
        if not self._begun or not self._known:
            return None
        return min(1.0, sum(one.probability for one in self._followers))

    def _evidence(self, end: int) -> PointEvidence | None:
        begin = max(0, end - LONGEST_POINT)
        spans = [match.span() for match in NUMBER.finditer(self._text, begin, end)][-2:]
        tag = self._text.rfind("<", 0, end)
        last, self._last = self._last, (end, tag)
        if len(spans) < 2 or not self._tokens or spans[0][0] < self._tokens[0].start:
            return None
        continued = None
        if last is not None:
            between = [one for one in self._tokens if last[0] <= one.end <= spans[0][0]]
            continued = math.prod(one.chances.probability for one in between) if last[1] == tag else 1.0
        near = tuple(self._near(*span) for span in spans)
        written = [one.chances.probability for span in spans for one in self._writing(*span)]
        return PointEvidence(continued, near, tuple(written))

    def _writing(self, start: int, end: int) -> list[_Token]:
        return [one for one in self._tokens if one.start < end and one.end > start]

    def _near(self, start: int, end: int) -> float:
        """Mass of the numbers within the tolerance of the one written in the text's [start, end)."""
        number, near = self._text[start:end], 1.0
        for token in reversed(self._writing(start, end)):
            before = token.end - len(token.digits) - start  # of the number's characters
            own = token.chances.probability
            if not token.digits or before < 0 or token.end > end:
                near *= own
                continue
            others = _numbers_beside(token.chances)
            values = np.array([float(_digits(text)) for text, _ in others])
            lengths = np.array([len(_digits(text)) for text, _ in others])
            masses = np.array([probability for _, probability in others])
            share = near_share(number, number[:before], values, lengths, TOLERANCE)
            near = float(masses @ share) + own * (near - float(share[0]))
            near += _untold(token, number, number[:before], share, lengths)
        return min(max(near, 0.0), 1.0)


def _untold(token: _Token, number: str, prefix: str, share: np.ndarray, lengths: np.ndarray) -> float:
    """The mass of the numbers of as many digits near the written one that the server did not tell of.

    Args:
        token: The number's token, or that of some of its digits.
        number: See `near_share`.
        prefix: See `near_share`.
        share: Of the numbers that were told.
        lengths: Their digits.
    """
    left = 1 - math.fsum(probability for _, probability in token.chances.others)
    if left < NEGLIGIBLE or len(token.digits) > 3:
        return 0.0
    values = np.arange(10 ** len(token.digits), dtype=np.float64)
    every = near_share(number, prefix, values, np.full(len(values), len(token.digits)), TOLERANCE)
    count = float(every.sum() - share[lengths == len(token.digits)].sum())
    least = min(probability for _, probability in token.chances.others)
    return NEAR_SHARE * min(left, max(count, 0.0) * least)


class _Sentence:
    """A sentence that says that nothing is there, and the probability of what the answer shares with it, and of what
    would have gone on with it where the answer left it."""

    def __init__(self, sentence: str) -> None:
        self._sentence, self._said, self._shared, self._over = sentence, "", 1.0, False

    @property
    def probability(self) -> float:
        return self._shared if self._said or self._over else 0.0

    def take(self, token: TokenChances) -> None:
        if self._over or not token.text:
            return
        along = [p for text, p in token.others if text != token.text and self._goes_on(text)]
        if self._goes_on(token.text):
            self._shared *= min(1.0, token.probability + math.fsum(along))
            self._said += token.text
            self._over = len(self._said) >= len(self._sentence)
        else:
            self._shared *= min(1.0, math.fsum(along))
            self._over = True

    def _goes_on(self, text: str) -> bool:
        said = self._said + text
        return bool(text) and (self._sentence.startswith(said) or said.startswith(self._sentence))


def _digits(text: str) -> str:
    """The digits that a token writes after one blank or none; none where it is no number."""
    digits = text.removeprefix(" ")
    return digits if digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_TOKEN else ""


def _numbers_beside(chances: TokenChances) -> list[tuple[str, float]]:
    """The token itself and the numbers that could stand in its place: with a blank before them as it has, or none."""
    blank = chances.text.startswith(" ")
    others = [
        (t, p) for t, p in chances.others if t != chances.text and _digits(t) and t.startswith(" ") == blank
    ]
    return [(chances.text, chances.probability), *others]
