# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The probability of the answer that nothing is there, whatever the model answered.

It is the product of the conditional probabilities of the tokens of a not-found sentence. While the answer itself goes
along the sentence, its own distributions give them. Where it leaves the sentence, those of the tokens that would have
followed were scored beside the answer, in a pass that was made anyway (`Aside`). If what has been multiplied by then is
negligible already, it stays as it is, an upper bound; so it does where the cache had no room for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from molmo_ros.molmo.running.choosing import Choice
from molmo_ros.molmo.running.drafting import Aside

NEGLIGIBLE = 1e-3
"""Below this a bound is as good as the value."""


class NotFoundScorer:
    """Follows an answer from its first token along every sentence that says that nothing is there.

    Attributes:
        asides: The sentences, to be scored beside the answer.
    """

    def __init__(self, sentences: Iterable[Sequence[int]]) -> None:
        """Starts before the first token.

        Args:
            sentences: Their tokens; none is the beginning of another.
        """
        self.asides = [Aside(sentence) for sentence in sentences]
        self._followers = [_Follower(aside) for aside in self.asides]
        self._begun = False

    @property
    def probability(self) -> float | None:
        """Of any of the sentences; None before the first token."""
        return min(1.0, sum(one.probability for one in self._followers)) if self._begun else None

    def feed(self, choice: Choice) -> None:
        """Takes the answer's next token."""
        self._begun = True
        following = [one for one in self._followers if one.next is not None]
        if not following:
            return
        probabilities = torch.softmax(choice.logits.float(), dim=-1)
        expected = torch.stack([probabilities[one.next] for one in following]).tolist()  # in one read
        for one, probability in zip(following, expected, strict=True):
            one.feed(choice.token, probability)


class _Follower:
    """One sentence, and the probability of what the answer shares with it.

    Attributes:
        next: Its token that the answer would have to go on with; None once it has left it, or said all of it.
    """

    def __init__(self, aside: Aside) -> None:
        self._aside, self._shared, self._said = aside, 1.0, 0
        self._rest: float | None = 1.0  # of what the answer has not said; None until it was looked up
        self.next: int | None = aside.tokens[0]

    @property
    def probability(self) -> float:
        """Of the whole sentence, as far as it is known: at most this."""
        if self._rest is None and self._aside.logits is not None:
            self._rest = continuation_probability(self._aside, self._said)
        return self._shared * (1.0 if self._rest is None else self._rest)

    def feed(self, token: int, expected: float) -> None:
        """Takes the answer's token and the probability that the sentence's would have had."""
        tokens = self._aside.tokens
        self._shared *= expected
        self._said += 1
        goes_on = self._said < len(tokens)
        if token == tokens[self._said - 1]:
            self.next = tokens[self._said] if goes_on else None
            return
        self.next = None
        if goes_on and self._shared > NEGLIGIBLE:
            self._rest = None


@torch.inference_mode()
def continuation_probability(aside: Aside, said: int) -> float:
    """The probability of an aside's tokens from number `said` on, given those before.

    Args:
        aside: With its scores.
        said: How many of its tokens are given, at least one.
    """
    assert aside.logits is not None, "an aside that was not scored yet"
    rows = torch.log_softmax(aside.logits[said - 1 :].float(), dim=-1)
    rest = torch.tensor(list(aside.tokens[said:]), dtype=torch.int64, device=rows.device)
    return float(rows.gather(1, rest.unsqueeze(1)).sum().exp())
