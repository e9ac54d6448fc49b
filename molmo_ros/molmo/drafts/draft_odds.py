# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How often guesses of a source were right lately."""

from __future__ import annotations

from collections.abc import Container

MEMORY = 24
"""About so many guesses count."""
BEGIN = 0.5


class DraftOdds:
    """The shares of right guesses, of numbers and of all else: where a thing is changes, how it is told does not.

    They are counted for every token, whether it was drafted or not: looking costs nothing.
    """

    def __init__(self, numbers: Container[int]) -> None:
        """Nothing was guessed yet.

        Args:
            numbers: The tokens that are digits.
        """
        self._numbers = numbers
        self._shares = {True: BEGIN, False: BEGIN}

    def saw(self, guess: int, token: int) -> None:
        """A token came where another, or the same, had been guessed."""
        kind = guess in self._numbers
        self._shares[kind] += ((guess == token) - self._shares[kind]) / MEMORY

    def share(self, guess: int) -> float:
        """Of right guesses among those like this one, in [0, 1]."""
        return self._shares[guess in self._numbers]
