# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points that older models write into plain text, where points were asked for.

    Click(12.3, 45.6)   (12.3, 45.6)   percent of the image, one decimal each
    p=123,456           7 = 123, 456   per mille, three digits each

Source: the point decoders of allenai/molmo and allenai/molmo2. The forms are those and no wider: other numbers in
brackets are measures, versions, ratios. Percent is also no fraction: where every pair lies within 0..1, nobody can tell
which of both was meant, and there is no point.
"""

from __future__ import annotations

import re

# Matched against the last `_WINDOW` characters only.
_BRACKETED = re.compile(r"\(([0-9]{1,3}\.[0-9]),? ?([0-9]{1,3}\.[0-9])\)")
_ANY_PAIR = re.compile(r"[(\[] ?([0-9]{0,6}\.?[0-9]{1,8})(?:, ?| )([0-9]{0,6}\.?[0-9]{1,8}) ?[)\]]")
_ASSIGNED = re.compile(r"(?:\bp|[0-9]) {0,3}= {0,3}([0-9]{3}) {0,3}, {0,3}([0-9]{3})$")
_WINDOW = 40
_DIGITS = frozenset("0123456789")

Place = tuple[float, float]
"""x and y as fractions of the image's width and height; beyond 1 outside of it."""


class LoosePoints:
    """Reads plain text character by character, in constant memory.

    Attributes:
        doubt: Why numbers that look like points are none; empty where there are no such numbers.
    """

    def __init__(self, *, at_once: bool = True) -> None:
        """Starts a text.

        Args:
            at_once: Hand points out as soon as it is clear that they are some; else all of them at the end.
        """
        self._at_once = at_once
        self._recent = ""  # digits at its end may not be complete
        self._held: list[tuple[Place, bool]] = []  # and whether it is certain by itself
        self._beyond = False  # a pair in brackets has shown that they are percent
        self._fraction = self._other = ""

    def feed(self, char: str) -> list[Place]:
        """Reads on; returns the points that are certain now."""
        found = self._assigned() if char not in _DIGITS else []
        self._recent = (self._recent + char)[-_WINDOW:]
        if char in ")]":
            found += self._bracketed()
        return found

    def finish(self) -> list[Place]:
        """Ends the text; returns the points that were held back."""
        return self._assigned() + self._released()

    @property
    def doubt(self) -> str:
        """See the class."""
        if self._fraction and not self._beyond:
            return (
                f"{self._fraction} lies within 0..1, so it is not clear that it is percent of the image: "
                "points are written as percent with one decimal, or in a point tag"
            )
        if self._other:
            return f"{self._other} is no point: points are written as percent with one decimal, or in a point tag"
        return ""

    def _bracketed(self) -> list[Place]:
        start = max(self._recent.rfind("("), self._recent.rfind("["))
        if start < 0 or not (pair := _ANY_PAIR.fullmatch(self._recent, start)):
            return []
        spelled, self._recent = self._recent[start:], ""
        x, y = float(pair[1]), float(pair[2])
        within = x <= 1 and y <= 1
        if within:
            self._fraction = self._fraction or spelled
        if not _BRACKETED.fullmatch(spelled):
            self._other = self._other or spelled
            return []
        self._beyond |= not within
        self._held.append(((x / 100, y / 100), not within))
        return self._released() if self._at_once and self._beyond else []

    def _released(self) -> list[Place]:
        held, self._held = self._held, []
        return [place for place, certain in held if certain or self._beyond]

    def _assigned(self) -> list[Place]:
        """Called where a run of digits has ended: `p=123,456` may just have."""
        if self._recent[-1:] not in _DIGITS or not (pair := _ASSIGNED.search(self._recent)):
            return []
        self._recent = ""
        place = int(pair[1]) / 1000, int(pair[2]) / 1000
        self._held.append((place, True))
        return self._released() if self._at_once and (self._beyond or len(self._held) == 1) else []
