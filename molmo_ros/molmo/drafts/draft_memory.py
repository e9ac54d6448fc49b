# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a model's answers have been, from which the next ones are guessed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from molmo_ros.molmo.drafts.answer_drafter import SOURCES, AnswerDrafter
from molmo_ros.molmo.drafts.draft_odds import DraftOdds
from molmo_ros.molmo.drafts.pass_times import PassTimes
from molmo_ros.molmo.drafts.said_before import SaidBefore
from molmo_ros.molmo.prompts.tokenizer import Tokenizer

MOST_ANSWERS = 256
"""Of so many queries the last answer is kept."""


class DraftMemory:
    """Earlier answers of one model, and how well guesses from them held.

    Attributes:
        pass_times: What its passes cost.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Knows nothing yet."""
        self.pass_times = PassTimes()
        self._tokenizer, self._numbers = tokenizer, frozenset(tokenizer.number_tokens())
        self._said = SaidBefore(self._numbers)
        self._answers: OrderedDict[tuple[str, str], tuple[int, ...]] = OrderedDict()
        self._odds = {source: DraftOdds(self._numbers) for source in SOURCES}

    def drafter(
        self,
        view: str,
        text: str,
        label: str,
        moved: Callable[[Sequence[int]], Sequence[int]] | None = None,
    ) -> AnswerDrafter:
        """For the next answer to a query.

        Args:
            view: Which camera it is about.
            text: The query.
            label: What it asks for; empty for no one thing.
            moved: Makes of the last answer what it would be now.
        """
        key = view, text
        last: Sequence[int] | None = self._answers.get(key)
        if last is not None and moved is not None:
            last = moved(last)
        return AnswerDrafter(
            last,
            self._said,
            self._odds,
            self.pass_times,
            self._tokenizer.encode(label) if label else (),
            lambda tokens: self._keep(key, tokens),
        )

    def _keep(self, key: tuple[str, str], tokens: Sequence[int]) -> None:
        self._answers[key] = tuple(tokens)
        self._answers.move_to_end(key)
        if len(self._answers) > MOST_ANSWERS:
            self._answers.popitem(last=False)
