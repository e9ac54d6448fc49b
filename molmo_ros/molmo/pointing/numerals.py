# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whole numbers in English text: in digits, with thousands separators, and in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_CHUNK = re.compile(r"[<()\u2013\u2014\ufffc]|[^\s<()\u2013\u2014\ufffc]+")
_WORD_OR_SIGN = re.compile(r"[^\W\d_]+(?:[-'\u2019][^\W\d_]+)*|.")
# The separators of thousands: comma, apostrophes, and the blanks that do not break a line.
_DIGITS = re.compile(r"[0-9]{1,3}(?:([,'\u2019])[0-9]{3})(?:\1[0-9]{3})*|[0-9]{1,9}")
_NARROW_BLANK = re.compile(r"(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3}(?![0-9]))")
_BEFORE, _AFTER = "([{\"'*_`\u2018\u201c", ".,;:!?)]}\"'*_`\u2019\u201d"

_UNITS = [
    *[
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ],
    *["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"],
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SMALL = {word: value for value, word in enumerate(_UNITS)}
TENS = {word: 10 * value for value, word in enumerate(_TENS, 2)} | {"fourty": 40}
SCALES = {"thousand": 1_000, "million": 1_000_000}


@dataclass(frozen=True)
class Token:
    """A part of a text.

    Attributes:
        text: A word in lower case, one sign, or what holds digits.
        value: Of a whole number.
    """

    text: str
    value: int | None = None

    @property
    def is_word(self) -> bool:
        """Whether it is a word and no number."""
        return self.value is None and self.text[0].isalpha()


def tokens(text: str) -> list[Token]:
    """A text's words, signs and whole numbers, in order.

    A number is one token, however many words it takes ("one hundred and five", "3 thousand", "a dozen"). What holds
    digits and is no whole number ("3.5", "12:30", "2nd", "v2", "12%", "-3") stays as it is, and so do numbers
    that stand side by side: nobody can tell whether "1 250" is one or two.
    """
    parts: list[Token] = []
    for chunk in _CHUNK.findall(_NARROW_BLANK.sub(",", text.lower())):
        parts += _split(chunk)
    return _not_side_by_side(_joined(parts))


def _split(chunk: str) -> list[Token]:
    """What stands between two blanks."""
    if not any(char.isdigit() for char in chunk):
        return [part for word in _WORD_OR_SIGN.findall(chunk) for part in _words(word)]
    core = chunk.lstrip(_BEFORE)
    before = chunk[: len(chunk) - len(core)]
    after = core[len(core.rstrip(_AFTER)) :]
    core = core.rstrip(_AFTER)
    value = int(re.sub("[^0-9]", "", core)) if _DIGITS.fullmatch(core) else None
    return [*map(Token, before), Token(core, value), *map(Token, after)]


def _words(word: str) -> list[Token]:
    """Of "twenty-one" two, of "well-lit" one."""
    parts = word.split("-")
    return [Token(part) for part in (parts if all(map(_is_numeral, parts)) else [word])]


def _is_numeral(word: str) -> bool:
    return word in SMALL or word in TENS or word in SCALES or word in ("hundred", "dozen")


def _joined(parts: Sequence[Token]) -> list[Token]:
    joined: list[Token] = []
    at = 0
    while at < len(parts):
        value, end = _number(parts, at)
        if end > at:
            joined.append(Token(" ".join(part.text for part in parts[at:end]), value))
            at = end
        else:
            joined.append(parts[at])
            at += 1
    return joined


def _number(parts: Sequence[Token], at: int) -> tuple[int, int]:
    """The number in words, or in digits and words, that begins at a token: its value, and where it ends."""
    words = [part.text for part in parts[at : at + 24]]
    if words[:3] == ["half", "a", "dozen"]:
        return 6, at + 3
    if words[:2] == ["a", "single"]:
        return 1, at + 2
    total = group = used = 0
    place = 0
    if words[0] in ("a", "an"):
        if len(words) < 2 or words[1] not in ("hundred", "thousand", "million", "dozen"):
            return 0, at
        group, place = 1, 1
    kind = ""  # of the last part: "small", "tens", "digits", "hundred", "scale"
    while place < len(words):
        word, value = words[place], parts[at + place].value
        if value is not None and kind == "" and not used:
            group, kind = value, "digits"
        elif word in SMALL and kind in ("", "hundred", "scale") or word in SMALL and kind == "tens":
            if kind == "tens" and not 1 <= SMALL[word] <= 9:
                break
            group, kind = group + SMALL[word], "small"
        elif word in TENS and kind in ("", "hundred", "scale"):
            group, kind = group + TENS[word], "tens"
        elif word == "hundred" and 0 < group < 100 and kind != "hundred":
            group, kind = 100 * group, "hundred"
        elif word == "dozen" and 0 < group < 100:
            return total + 12 * group, at + place + 1
        elif word in SCALES and 0 < group < 1000:
            total, group, kind = total + group * SCALES[word], 0, "scale"
        elif word == "and" and kind in ("hundred", "scale") and words[place + 1 : place + 2]:
            following = words[place + 1]
            if following not in SMALL and following not in TENS:
                break
            place += 1
            continue
        else:
            break
        place += 1
        used = place
    return total + group, at + used


def _not_side_by_side(parts: Sequence[Token]) -> list[Token]:
    """Without the values of numbers that follow each other."""
    number = [part.value is not None or part.text[0].isdigit() for part in parts]
    return [
        Token(part.text) if number[i] and (any(number[i + 1 : i + 2]) or (i and number[i - 1])) else part
        for i, part in enumerate(parts)
    ]
