# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What guesses an answer's next tokens, and what is scored beside an answer: the seams of a pass of several tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class Drafter(Protocol):
    """Guesses how one answer goes on. A wrong guess costs time, and changes no token."""

    def draft(self, most: int, together: int) -> Sequence[int]:
        """The tokens that may come next, as many as are worth a pass.

        Args:
            most: How many there may be.
            together: How many answers the pass is for.
        """

    def took(self, token: int) -> None:
        """To be told of each token of the answer, in order."""

    def finish(self) -> None:
        """To be told that the answer has ended."""


@dataclass
class Aside:
    """A way in which an answer could have begun instead, scored in a pass that is made anyway.

    Attributes:
        tokens: Its tokens.
        logits: float [len(tokens) - 1, vocab], the scores of all but the first, given the prompt and those before; None
            until the pass that has room for them.
    """

    tokens: Sequence[int]
    logits: Tensor | None = None


class PassTimer(Protocol):
    """Learns what passes cost."""

    def took(self, tokens: int, seconds: float) -> None:
        """To be told of a pass behind the prompt.

        Args:
            tokens: How many it was over.
            seconds: How long it took: on a CPU the thread's own time, whatever else the machine does.
        """
