# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Guesses one answer's tokens from earlier answers, as far as that is worth its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from molmo_ros.molmo.drafts.draft_odds import DraftOdds
from molmo_ros.molmo.drafts.followed_answer import FollowedAnswer
from molmo_ros.molmo.drafts.pass_times import PassTimes
from molmo_ros.molmo.drafts.said_before import LABEL, SaidBefore

LONGEST = 64
"""Tokens that are looked up ahead."""
SAME_QUERY, SAID_BEFORE = SOURCES = ("same query", "said before")


class AnswerDrafter:
    """See `Drafter`."""

    def __init__(
        self,
        last: Sequence[int] | None,
        said: SaidBefore,
        odds: Mapping[str, DraftOdds],
        times: PassTimes,
        label: Sequence[int],
        keep: Callable[[Sequence[int]], None],
    ) -> None:
        """Before the first token.

        Args:
            last: The last answer to the same query; None where there was none.
            said: What was said to any query.
            odds: How often guesses of each of `SOURCES` hold.
            times: What passes cost.
            label: The tokens of what is asked for.
            keep: Takes the answer's tokens, at the end.
        """
        self._followed = None if last is None else FollowedAnswer(last)
        self._said, self._odds, self._times, self._label = said, odds, times, tuple(label)
        self._keep = keep
        self._tokens: list[int] = []
        self._symbols: list[int] = []  # the same, with what was asked for as one

    def draft(self, most: int, together: int) -> Sequence[int]:
        """See `Drafter`."""
        source, guess = self._best()
        odds, alone = self._odds[source], self._times.cost(together)
        tokens: list[int] = []
        sure, saved, best, worth = 1.0, 0.0, 0, 0.0
        for token in islice(guess, most):
            tokens.append(token)
            sure *= odds.share(token)
            # Where it is right, it saves this answer's share of a pass over one token of each.
            saved += sure * alone / together
            gain = saved - (self._times.cost(together + len(tokens)) - alone)
            if gain > worth:
                best, worth = len(tokens), gain
        return tokens[:best]

    def took(self, token: int) -> None:
        """See `Drafter`."""
        for source, guess in ((SAME_QUERY, self._from_last()), (SAID_BEFORE, self._from_said())):
            if (guessed := next(iter(guess), None)) is not None:
                self._odds[source].saw(guessed, token)
        self._tokens.append(token)
        self._symbols.append(token)
        length = len(self._label)
        if length and tuple(self._symbols[-length:]) == self._label:
            self._symbols[-length:] = [LABEL]
        if self._followed is not None:
            self._followed.took(token)

    def finish(self) -> None:
        """The answer is whole: the next ones are guessed from it."""
        self._said.learn(self._symbols)
        self._keep(self._tokens)

    def _best(self) -> tuple[str, Iterator[int]]:
        """Of the sources that have a guess the one whose next is likelier to be right."""
        last, said = self._from_last(), list(islice(self._from_said(), LONGEST))
        if not said or (
            last and self._odds[SAME_QUERY].share(last[0]) >= self._odds[SAID_BEFORE].share(said[0])
        ):
            return SAME_QUERY, iter(last)
        return SAID_BEFORE, iter(said)

    def _from_last(self) -> Sequence[int]:
        return () if self._followed is None else self._followed.guess()

    def _from_said(self) -> Iterator[int]:
        for symbol in self._said.follow(self._symbols):
            if symbol == LABEL:
                yield from self._label
            else:
                yield symbol
