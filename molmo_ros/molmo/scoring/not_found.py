# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The probability of the answer that nothing is there, whatever the model answered.

It is the product of the conditional probabilities of the tokens of a not-found sentence. While the answer itself goes
along the sentence, its own distributions give them. Where it leaves the sentence, the tokens that would have followed
are scored in one pass over the KV cache, which is set back afterwards. If what has been multiplied by then is
negligible already, it stays as it is, an upper bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch

from molmo_ros.molmo.running.generate import Choice
from molmo_ros.molmo.running.runtime import Cache, Runtime

NEGLIGIBLE = 1e-3
"""Below this a bound is as good as the value."""

Continuation = Callable[[Sequence[int]], float]
"""Tokens to the probability of all but the first of them, given the first and what came before."""


class NotFoundScorer:
    """Follows an answer from its first token along every sentence that says that nothing is there."""

    def __init__(self, sentences: Iterable[Sequence[int]], continuation: Continuation) -> None:
        """Starts before the first token.

        Args:
            sentences: Their tokens; none is the beginning of another.
            continuation: See `continuation_probability`; called while the decoder has not seen the token
                last fed.
        """
        self._followers = [_Follower(sentence) for sentence in sentences]
        self._continuation = continuation
        self._begun = False

    @property
    def probability(self) -> float | None:
        """Of any of the sentences; None before the first token."""
        return min(1.0, sum(one.probability for one in self._followers)) if self._begun else None

    def feed(self, choice: Choice) -> None:
        """Takes the answer's next token, before the decoder has seen it."""
        self._begun = True
        following = [one for one in self._followers if one.rest]
        if not following:
            return
        probabilities = torch.softmax(choice.logits.float(), dim=-1)
        expected = torch.stack([probabilities[one.rest[0]] for one in following]).tolist()  # in one read
        for one, probability in zip(following, expected, strict=True):
            one.feed(choice.token, probability, self._continuation)


class _Follower:
    """One sentence: the probability of what the answer shares with it, and the tokens to come."""

    def __init__(self, sentence: Sequence[int]) -> None:
        self.probability, self.rest = 1.0, sentence

    def feed(self, token: int, expected: float, continuation: Continuation) -> None:
        """Takes the answer's token and the probability that the sentence's would have had."""
        self.probability *= expected
        if token == self.rest[0]:
            self.rest = self.rest[1:]
            return
        if len(self.rest) > 1 and self.probability > NEGLIGIBLE:
            self.probability *= continuation(self.rest)
        self.rest = ()


@torch.inference_mode()
def continuation_probability(runtime: Runtime, cache: Cache, tokens: Sequence[int]) -> float:
    """The probability of tokens[1:], given what the cache holds and tokens[0]; the cache ends as it began.

    Where the cache has no room for them it is 1, an upper bound.
    """
    length, count = cache.length, len(tokens) - 1
    if length + count > cache.max_len:
        return 1.0
    ids = torch.tensor([list(tokens)], dtype=torch.int64, device=runtime.device)
    past = torch.ones(count, length, dtype=torch.bool, device=runtime.device)
    mask = torch.cat([past, past.new_ones(count, count).tril()], dim=1)[None, None]
    every = torch.arange(count, dtype=torch.int64, device=runtime.device)
    output = runtime.prefill(runtime.embedding(ids[:, :-1]), mask, cache, logits_for=every)
    cache.truncate(length)
    logarithms = torch.log_softmax(output.logits[0].float(), dim=-1)
    return float(logarithms.gather(1, ids[0, 1:, None]).sum().exp())
