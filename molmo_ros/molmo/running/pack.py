# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Several answers behind one prompt's beginning, decoded together: one pass a step for all, drafts included.

The cache holds first what all share (an image's tokens), then tokens of all answers as passes brought them. A mask lets
each see what is shared and its own; positions are those of its own sequence, so that every answer is what it would be
alone. Slots of wrong guesses are given back where nothing lies behind them; the others are seen by nobody, until the
cache is full and is filled anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from molmo_ros.molmo.running.drafting import Aside, PassTimer
from molmo_ros.molmo.running.runtime import Cache, Runtime, StepOutput
from molmo_ros.molmo.running.turn import Turn

MOST_DRAFTED = 32
"""Tokens of one draft."""
MOST_TOGETHER = 32
"""Answers of one pass; whoever comes later waits until one has ended."""


@dataclass
class Shared:
    """The beginning of a prompt, which all answers see, as far as the cache does not hold it.

    Attributes:
        embeddings: [1, L, width]; None where the cache holds all of it.
        mask: Boolean [1, 1, L, cache.length + L], see `Runtime.prefill`.
        on_states: Called with the states [L, width] of these tokens, once there are some.
    """

    embeddings: Tensor | None = None
    mask: Tensor | None = None
    on_states: Callable[[Tensor], None] | None = None

    @property
    def length(self) -> int:
        """How many tokens the network has yet to see."""
        return 0 if self.embeddings is None else self.embeddings.shape[1]


@dataclass
class _Part:
    """What one turn has in a pass: places of tokens in it, from 0."""

    turn: Turn
    inputs: list[int]
    draft: list[int] = field(default_factory=list)
    asides: list[tuple[Aside, list[int]]] = field(default_factory=list)


class Pack:
    """The passes over one cache, until all answers have ended."""

    def __init__(
        self,
        runtime: Runtime,
        cache: Cache,
        shared: Shared,
        turns: Sequence[Turn],
        timer: PassTimer | None = None,
    ) -> None:
        """Before the first pass.

        Args:
            runtime: Runs the model.
            cache: Holds the beginning of what is shared.
            shared: The rest of it.
            turns: The answers.
            timer: Learns what passes cost.
        """
        self._runtime, self._cache, self._shared, self._turns = runtime, cache, shared, turns
        self._timer = timer
        self._shared_length = cache.length + shared.length
        self._alone = False  # one after the other, as one of them makes numbers that are not finite
        self._failed_before = 0

    def run(self) -> None:
        """Decodes until every turn has ended.

        Raises:
            PromptError: The cache has no room for an answer that is alone in it.
        """
        while active := self._active():
            self._step(self._with_room(active[:MOST_TOGETHER]))

    def _active(self) -> list[Turn]:
        for turn in self._turns:
            if not turn.ended and (stop := turn.request.limits.reached()) is not None:
                turn.end(stop)
            turn.tell()
        active = [turn for turn in self._turns if not turn.ended]
        if self._alone and self._failed() > self._failed_before:
            self._alone = False  # that one is out
            self._begin_anew(active)
        return active[:1] if self._alone else active

    def _failed(self) -> int:
        return sum(turn.error is not None for turn in self._turns)

    def _with_room(self, active: list[Turn]) -> list[Turn]:
        """Those whose next tokens fit into the cache: all, or as many as do once it holds nothing that nobody sees."""
        if sum(turn.unseen for turn in active) <= self._room():
            return active
        self._begin_anew(active)
        taken = active[:1]  # where not even this one fits, the runtime says so
        for turn in active[1:]:
            # With some room to go on, or every step would begin anew.
            if sum(one.unseen + MOST_DRAFTED for one in (*taken, turn)) > self._room():
                break
            taken.append(turn)
        return taken

    def _room(self) -> int:
        """Slots for tokens of the answers."""
        return self._cache.max_len - self._cache.length - self._shared.length

    def _begin_anew(self, turns: Sequence[Turn]) -> None:
        """The cache holds what is shared, and nothing else."""
        for turn in turns:
            turn.slots.clear()
        self._cache.truncate(min(self._cache.length, self._shared_length))

    def _step(self, turns: list[Turn]) -> None:
        if self._alone and self._cache.length > self._shared_length + len(turns[0].slots):
            self._begin_anew(turns)
        before, shared = self._cache.length, self._shared
        parts, inputs = self._parts(turns)
        clock = time.perf_counter if self._runtime.device.type == "cuda" else time.thread_time
        started = clock()
        if parts is None:
            output = self._runtime.decode(inputs[0], self._cache)
            parts, rows = [_Part(turns[0], [0])], {0: 0}
        else:
            output, rows = self._pass(parts, torch.cat(inputs, dim=1))
        several = len(parts) > 1 or any(part.draft or part.asides for part in parts)
        if several and not _finite(output.logits):
            # Whatever went through the network with the token at fault may be spoilt: all is taken back, and each goes
            # its own way.
            self._alone, self._failed_before = True, self._failed()
            self._cache.truncate(before)
            self._begin_anew(self._turns)
            return
        if self._timer is not None and shared.length == 0:
            if self._runtime.device.type == "cuda":  # the choice waits for it in any case
                torch.cuda.synchronize(self._runtime.device)
            self._timer.took(sum(part.shape[1] for part in inputs), clock() - started)
        if shared.length and shared.on_states is not None and output.states is not None:
            shared.on_states(output.states[0, : shared.length])
        for part in parts:
            self._take(part, output, rows, before)
        self._shared = Shared()
        used = [turn.slots[-1] for turn in self._turns if turn.slots and not turn.ended]
        self._cache.truncate(max([self._shared_length, *(slot + 1 for slot in used)]))

    def _parts(self, turns: list[Turn]) -> tuple[list[_Part] | None, list[Tensor]]:
        """Who has which places in the next pass, and the embeddings in their order: what is shared, what the answers
        have, what they are guessed to have, what is scored beside them. The guesses lie behind each other by depth, so
        that wrong ones are mostly at the end, where their slots are given back.

        No parts are one token that sees everything in the cache, the way that runtimes are fastest in.
        """
        room = self._room() - sum(turn.unseen for turn in turns)
        scores = self._runtime.max_scores - len(turns)
        place, inputs = self._shared.length, []
        if self._shared.embeddings is not None:
            inputs.append(self._shared.embeddings)
        parts = []
        for turn in turns:
            parts.append(_Part(turn, list(range(place, place + turn.unseen))))
            place += turn.unseen
            if (unseen := turn.next_input()) is not None:
                inputs.append(unseen)
        wanted = []
        for part in parts:
            for aside in () if self._alone else part.turn.request.asides:
                count = len(aside.tokens) - 1
                if aside.logits is None and 0 < count <= min(room, scores):
                    wanted.append((part, aside))
                    room, scores = room - count, scores - count
        drafts = []
        for number, part in enumerate(parts):
            most = 0 if self._alone else min(room, scores, MOST_DRAFTED) // (len(parts) - number)
            drafts.append(part.turn.guess(most, len(parts)))
            room, scores = room - len(part.turn.draft), scores - len(part.turn.draft)
        if len(parts) == 1 and not wanted and drafts[0] is None and self._is_plain(turns[0]):
            return None, inputs
        for depth in range(max(len(turn.draft) for turn in turns)):
            for part, draft in zip(parts, drafts, strict=True):
                if draft is not None and depth < draft.shape[1]:
                    part.draft.append(place)
                    inputs.append(draft[:, depth : depth + 1])
                    place += 1
        for part, aside in wanted:
            count = len(aside.tokens) - 1
            part.asides.append((aside, list(range(place, place + count))))
            ids = torch.tensor([list(aside.tokens[:-1])], dtype=torch.int64, device=self._runtime.device)
            inputs.append(self._runtime.embedding(ids))
            place += count
        return parts, inputs

    def _is_plain(self, turn: Turn) -> bool:
        dense = self._cache.length == self._shared_length + len(turn.slots)
        return turn.unseen == 1 and self._shared.length == 0 and dense

    def _pass(self, parts: list[_Part], embeddings: Tensor) -> tuple[StepOutput, dict[int, int]]:
        """Runs the network; returns its output, and the row of its scores that each scored place has."""
        start, new, count = self._cache.length, self._shared.length, embeddings.shape[1]
        positions = np.zeros(count, np.int64)
        positions[:new] = np.arange(start, start + new)
        sees = np.zeros((count, start + count), np.bool_)
        sees[new:, : self._shared_length] = True
        scored = set()
        for part in parts:
            turn, own = part.turn, [*part.inputs, *part.draft]
            first = self._shared_length + len(turn.slots)
            positions[own] = np.arange(first, first + len(own))
            sees[np.ix_(own, turn.slots)] = True
            sees[np.ix_(own, [start + place for place in own])] = np.tri(len(own), dtype=np.bool_)
            scored.update(self._scored(part))
            words = [*turn.slots, *(start + place for place in part.inputs)][: turn.words]
            for _, places in part.asides:
                first = self._shared_length + turn.words
                positions[places] = np.arange(first, first + len(places))
                sees[np.ix_(places, words)] = True
                sees[np.ix_(places, [start + place for place in places])] = np.tri(
                    len(places), dtype=np.bool_
                )
                scored.update(places)
        device, order = self._runtime.device, sorted(scored)
        mask = torch.from_numpy(sees).to(device)[None, None]
        if self._shared.mask is not None:
            mask[:, :, :new, : start + new] = self._shared.mask
        output = self._runtime.prefill(
            embeddings,
            mask,
            self._cache,
            positions=torch.from_numpy(positions).to(device).unsqueeze(0),
            logits_for=torch.tensor(order, dtype=torch.int64, device=device),
        )
        return output, {place: row for row, place in enumerate(order)}

    def _scored(self, part: _Part) -> list[int]:
        """The places whose scores choose tokens: of the last one that the answer has, and of its draft."""
        last = part.inputs[-1] if part.inputs else self._shared.length - 1
        return [last, *part.draft]

    def _take(self, part: _Part, output: StepOutput, rows: dict[int, int], start: int) -> None:
        """Hands a turn what the pass says of its tokens.

        Args:
            part: Its places.
            output: Of the pass.
            rows: See `_pass`.
            start: The slot of the pass' first token.
        """
        turn, places = part.turn, self._scored(part)
        for aside, beside in part.asides:
            aside.logits = output.logits[0, _selected([rows[place] for place in beside])]
        logits = output.logits[:, _selected([rows[place] for place in places])]
        states = None if output.states is None else output.states[:, _selected(places)]
        turn.seen([start + place for place in part.inputs])
        choices = turn.request.chooser.choices(StepOutput(logits, states), turn.draft)
        turn.take(choices, [start + place for place in part.draft])


def _selected(places: list[int]) -> slice | list[int]:
    """The places as an index: a slice, which copies nothing, where they follow each other."""
    first, last = places[0], places[-1]
    return slice(first, last + 1) if last - first == len(places) - 1 else places


def _finite(logits: Tensor) -> bool:
    """Whether the highest score of each row [1, n, vocab] is a number."""
    return bool(torch.isfinite(logits.amax(dim=-1)).all())
