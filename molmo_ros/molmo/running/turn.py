# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One answer in the making: which of its tokens the network has seen, and every way in which it can end."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from molmo_ros.molmo.running.choosing import Choice, Chooser
from molmo_ros.molmo.running.drafting import Aside, Drafter
from molmo_ros.molmo.running.generation import Generation, Limits, StopReason


@dataclass
class AnswerRequest:
    """An answer that is wanted.

    Attributes:
        words: [1, n, width], the embeddings of what follows the tokens that all answers of a pass share; None where
            that is the whole prompt.
        chooser: Chooses its tokens.
        max_new_tokens: Its longest.
        eos_ids: Tokens that end it.
        limits: Deadline and cancellation.
        on_token: Called with each token but EOS; True ends the answer with `StopReason.SATISFIED`.
        drafter: Guesses its tokens; None for one token a pass.
        asides: What is scored beside it.
        on_end: Called once, with what came of it or the error that ended it, before the others go on.
    """

    words: Tensor | None
    chooser: Chooser
    max_new_tokens: int
    eos_ids: Collection[int]
    limits: Limits = field(default_factory=Limits)
    on_token: Callable[[Choice], bool] | None = None
    drafter: Drafter | None = None
    asides: Sequence[Aside] = ()
    on_end: Callable[[Generation | Exception], None] | None = None


class Turn:
    """One answer among those that are decoded together.

    Attributes:
        request: What is wanted.
        slots: Where in the cache its own tokens are, in their order; fewer than `tokens` of them while some are unseen.
        draft: What was guessed for the pass that is being made.
        generation: What came of it, once it has ended.
        error: What ended it instead.
        passes: How many it took part in.
        words: How many of its own tokens are the prompt's.
    """

    def __init__(self, request: AnswerRequest) -> None:
        """Before its first pass."""
        self.request = request
        self.slots: list[int] = []
        self.draft: list[int] = []
        self.generation: Generation | None = None
        self.error: Exception | None = None
        self.passes = 0
        self._own = [] if request.words is None else [request.words]
        self._drafted: Tensor | None = None
        self.words = self._length = 0 if request.words is None else request.words.shape[1]
        self._token_ids: list[int] = []
        self._started = time.perf_counter()
        self._prefilled: float | None = None
        self._told = False
        if (stop := request.limits.reached()) is not None:
            self.end(stop)

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to decode."""
        return self.generation is not None or self.error is not None

    @property
    def outcome(self) -> Generation | Exception:
        """What came of it, or the error that ended it, once it has ended."""
        outcome = self.error or self.generation
        assert outcome is not None, "an answer that is still decoded"
        return outcome

    @property
    def unseen(self) -> int:
        """How many of its own tokens the network has yet to see."""
        return self._length - len(self.slots)

    @property
    def left(self) -> int:
        """How many more tokens it may have."""
        return self.request.max_new_tokens - len(self._token_ids)

    def next_input(self) -> Tensor | None:
        """The embeddings [1, `unseen`, width] of what the network has yet to see; None where it has seen all."""
        if not self.unseen:
            return None
        parts, count = [], 0
        for part in reversed(self._own):  # mostly one token, and nothing is copied
            parts.append(part)
            count += part.shape[1]
            if count >= self.unseen:
                break
        own = torch.cat(parts[::-1], dim=1) if len(parts) > 1 else parts[0]
        return own[:, count - self.unseen :]

    def guess(self, most: int, together: int) -> Tensor | None:
        """Drafts up to `most` tokens, as far as they could come at all; returns their embeddings [1, n, width]."""
        drafter, self.draft = self.request.drafter, []
        if drafter is None or most < 1:
            return None
        chooser, parts = self.request.chooser.ahead(), []
        for token in drafter.draft(min(most, self.left - 1), together):
            if token in self.request.eos_ids or not chooser.takes(token):
                break  # the scores before it are what counts; nothing follows
            self.draft.append(token)
            parts.append(chooser.embed(token))
        self._drafted = torch.cat(parts, dim=1) if parts else None
        return self._drafted

    def forget_slots(self) -> None:
        """What is in the cache of it is there no more."""
        self.slots = []

    def seen(self, slots: Sequence[int]) -> None:
        """The network has seen its next tokens, which lie in these slots now."""
        self.slots.extend(slots)

    def take(self, choices: Iterator[Choice], draft_slots: Sequence[int]) -> None:
        """Takes the tokens that a pass has chosen, as far as the answer goes on.

        Args:
            choices: See `Chooser.choices`.
            draft_slots: Where the draft is in the cache; what was right of it is kept.
        """
        if self._prefilled is None:
            self._prefilled = time.perf_counter()
        self.passes += 1
        try:
            for number, choice in enumerate(choices):
                if (stop := self._stop(choice)) is not None:
                    self.end(stop)
                    return
                if number == len(self.draft) or choice.token != self.draft[number]:
                    self._add(self.request.chooser.embed(choice.token))
                    return
                assert self._drafted is not None
                self._add(self._drafted[:, number : number + 1])
                self.slots.append(draft_slots[number])
        except Exception as error:
            self.error = error

    def tell(self) -> None:
        """Tells whoever waits for it, once it has ended."""
        if self.ended and not self._told:
            self._told = True
            if self.request.on_end is not None:
                self.request.on_end(self.outcome)

    def _add(self, embedding: Tensor) -> None:
        self._own.append(embedding)
        self._length += 1

    def _stop(self, choice: Choice) -> StopReason | None:
        """Takes a token, unless something has ended the answer before; returns what ends it."""
        request = self.request
        if (stop := request.limits.reached()) is not None:
            return stop
        if choice.token in request.eos_ids:
            return StopReason.EOS
        self._token_ids.append(choice.token)
        if request.drafter is not None:
            request.drafter.took(choice.token)
        if request.on_token is not None and request.on_token(choice):
            return StopReason.SATISFIED
        return StopReason.MAX_NEW_TOKENS if self.left < 1 else None

    def end(self, stop: StopReason) -> None:
        """The answer has ended."""
        if self.request.drafter is not None and self._token_ids:
            self.request.drafter.finish()
        now = time.perf_counter()
        prefilled = now if self._prefilled is None else self._prefilled
        begun = self._started if self.passes else prefilled
        self.generation = Generation(
            tuple(self._token_ids), stop, (prefilled - begun) * 1e3, (now - prefilled) * 1e3, self.passes
        )
