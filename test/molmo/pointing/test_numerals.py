# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whole numbers in English, against a writer of English numbers that shares nothing with the reader."""

import pytest

from molmo_ros.molmo.pointing.numerals import tokens

ONES = [
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
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def english(number: int, hyphen: str = "-", conjunction: str = " and ") -> str:
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (hyphen + ONES[number % 10] if number % 10 else "")
    for size, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            high, low = divmod(number, size)
            text = f"{english(high, hyphen, conjunction)} {name}"
            joint = conjunction if low < 100 else " "
            return text + (joint + english(low, hyphen, conjunction) if low else "")
    raise AssertionError(number)


def values(text: str) -> list[int]:
    return [one.value for one in tokens(text) if one.value is not None]


@pytest.mark.parametrize(("hyphen", "conjunction"), [("-", " and "), (" ", " and "), ("-", " "), (" ", " ")])
def test_numbers_in_words(hyphen, conjunction):
    for number in [
        *range(1001),
        1_234,
        1_100,
        2_000,
        12_000,
        20_105,
        999_999,
        1_000_000,
        3_000_007,
        123_456_789,
    ]:
        text = english(number, hyphen, conjunction)
        assert values(text) == [number], text
        assert values(f"There are {text.upper()} cups.") == [number]


@pytest.mark.parametrize("number", [0, 7, 12, 999, 1_000, 1_250, 12_345, 999_999, 1_250_000])
def test_numbers_in_digits(number):
    for text in (
        f"{number}",
        f"{number:,}",
        f"{number:,}".replace(",", "'"),
        f"{number:,}".replace(",", "\u202f"),
    ):
        for around in ("{}", "({})", "**{}**", "{}.", "{},", '"{}"', "{}!", "a\n{}\nb"):
            assert values(around.format(text)) == [number], around.format(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("a dozen", 12), ("two dozen", 24), ("half a dozen", 6), ("a hundred", 100), ("a thousand and one", 1001),
     ("3 hundred", 300), ("12 thousand", 12_000), ("2 million", 2_000_000), ("a single", 1)],
)  # fmt: skip
def test_numbers_of_both(text, value):
    assert values(text) == [value]


@pytest.mark.parametrize(
    "text",
    [
        *[
            "3.5",
            "12:30",
            "3/4",
            "v2.1",
            "10-12",
            "12%",
            "$12",
            "2nd",
            "12cm",
            "-3",
            "+3",
            "#3",
            "1,25",
            "1.250",
            "~12",
        ],
        *[
            "1,2,3",
            "1,234,56",
            "1 250",
            "1 2 3",
            "A12",
            "x2",
            "10\u00b2",
            "nineteen eighty",
            "twenty twenty-four",
        ],
        *["twelve-sided", "dozens", "hundreds", "hundred", "dozen", "someone", "often", "", "a", "and"],
    ],
)
def test_what_is_no_whole_number(text):
    assert values(text) == []
    assert values(f"It is {text} there.") == []
