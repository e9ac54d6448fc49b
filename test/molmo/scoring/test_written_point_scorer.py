# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The mass near a written point, against sums over every number a toy model could have written."""

import itertools
import math

import numpy as np
import pytest
import torch

from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.choosing import Choice
from molmo_ros.molmo.scoring.written_number import near_share
from molmo_ros.molmo.scoring.written_point_scorer import NumberTokens, WrittenPointScorer

WORDS = ["<points", " coords", '="', '">', "cup", "</points>", " ", '"', "<point", " x", " y", ".", " alt"]
DIGITS = [str(i) for i in range(10)]
WHOLE = [f" {i:03d}" for i in range(1000)]
VOCABULARY = [*WORDS, *DIGITS, *WHOLE, " 1", " 2", " 3"]
ID = {text: i for i, text in enumerate(VOCABULARY)}
NUMBERS = NumberTokens({i: text for text, i in ID.items() if text.strip().isdigit()})


def choice(text, **others):
    """A choice of `text` that has what `others` (by text) leave of the probability."""
    return weighted(text, {ID[key]: value for key, value in others.items()})


def weighted(text, others):
    logits = torch.full((len(VOCABULARY),), -torch.inf)
    logits[ID[text]] = math.log(1 - sum(others.values()))
    for token, value in others.items():
        logits[token] = math.log(value)
    return Choice(ID[text], logits)


def scored(choices, ends, tolerance=0.02):
    """Evidence of the points that are complete after so many characters."""
    scorer = WrittenPointScorer(NUMBERS, tolerance)
    text, found = "", []
    ends = iter(ends)
    end = next(ends)
    for one in choices:
        text += VOCABULARY[one.token]
        scorer.feed(one, VOCABULARY[one.token])
        while end is not None and len(text) >= end:
            found.append(scorer.point(end))
            end = next(ends, None)
    return found


OPENING = [choice("<points"), choice(" coords"), choice('="'), choice("1")]


def test_one_token_for_a_number_is_exact():
    near = {" 215": 0.1, " 254": 0.05, " 255": 0.2, " 300": 0.15}  # within 20 of 234: 215 and 254
    x, y = (
        weighted(" 234", {ID[text]: value for text, value in near.items()}),
        choice(" 500", **{" 900": 0.3}),
    )
    (found,) = scored([*OPENING, choice(" 1"), x, y, choice('">', **{" 2": 0.25})], [28])
    assert found.near == pytest.approx((0.5 + 0.15, 0.7))
    assert found.tokens == pytest.approx((0.5, 0.7))
    assert found.continued is None and found.score(not_found=0.2) == pytest.approx(0.8 * 0.65 * 0.7)


def test_a_later_point_has_the_probability_of_going_on():
    one = [choice(" 1"), choice(" 100"), choice(" 200")]
    two = [
        choice(" 2", **{'">': 0.4}),
        choice(" 300", **{" 310": 0.25}),
        choice(" 400"),
        choice('">', **{" 3": 0.9}),
    ]
    first, second = scored([*OPENING, *one, *two], [28, 38])
    assert first.near == second.near == pytest.approx((1.0, 1.0))
    assert second.continued == pytest.approx(0.6) and second.score(not_found=0.9) == pytest.approx(0.6)


def test_percent_with_its_names_and_marks():
    texts = ["<point", " x", '="', "6", "3", ".", "5", '"', " y", '="', "4", "4", ".", "5", '"', " alt"]
    choices = [choice(text) for text in texts]
    choices[3] = choice("6", **{"1": 0.2})
    choices[4] = choice("3", **{"4": 0.25, "9": 0.5})  # 64.0 to 64.9 is near 63.5, 69.x is not
    choices[13] = choice("5", **{"1": 0.4})  # 44.1 is near 44.5
    (found,) = scored(choices, [len("".join(texts[:15]))])
    assert found.near == pytest.approx((0.8 * 0.5, 1.0))
    assert found.tokens == pytest.approx((0.8, 0.25, 1.0, 1.0, 1.0, 1.0, 1.0, 0.6))


@pytest.mark.parametrize("number", ["234", "199", "005", "990", "500"])
def test_digit_by_digit_equals_enumeration_when_what_was_not_written_is_uniform(number):
    """A model whose digits after a first deviation are uniform: there the sum over all thousand is the truth."""
    random = np.random.default_rng(int(number))
    steps = random.dirichlet(np.full(10, 0.7), size=3)
    truth = 0.0
    for digits in itertools.product(range(10), repeat=3):
        probability, on_path = 1.0, True
        for place, digit in enumerate(digits):
            probability *= steps[place][digit] if on_path else 0.1
            on_path = on_path and digit == int(number[place])
        value = int("".join(map(str, digits)))
        truth += probability * (abs(value - int(number)) <= 20)
    x = [Choice(ID[number[place]], digit_logits(steps[place])) for place in range(3)]
    y = [choice(digit) for digit in "500"]
    (found,) = scored(
        [*OPENING, choice(" "), choice("1"), choice(" "), *x, choice(" "), *y, choice('"')], [28]
    )
    assert found.near == pytest.approx((truth, 1.0), abs=1e-6)


def digit_logits(probabilities):
    logits = torch.full((len(VOCABULARY),), -torch.inf)
    logits[[ID[digit] for digit in DIGITS]] = torch.from_numpy(np.log(probabilities)).float()
    return logits


def test_a_point_whose_tokens_were_not_seen():
    scorer = WrittenPointScorer(NUMBERS)
    assert scorer.point(0) is None
    scorer.feed(choice("cup"), "p=500,250 ")  # one token for it all, outside of any tag
    assert scorer.point(10) is None


def test_shares_by_hand():
    values, lengths = np.array([2.0, 3.0, 23.0, 234.0, 1000.0]), np.array([1, 1, 2, 3, 4])
    # 214..254 of 200..299; none of 300..399; all of 230..239; itself; more digits than were written.
    assert near_share("234", "", values, lengths, 0.02) == pytest.approx([0.41, 0.0, 1.0, 1.0, 0.0])
    # 1000 is per mille: 1 of 9 thousands digits leads there, and 980 and up is near.
    assert near_share("1000", "", np.array([1.0]), np.array([1]), 0.02) == pytest.approx([21 / 1000])
    assert near_share("63.5", "6", np.array([3.0, 5.0, 6.0]), np.ones(3, int), 0.02) == pytest.approx(
        [1, 0.6, 0]
    )


def test_long_digit_tokens_and_numbers_do_no_harm():
    numbers = NumberTokens({0: "7" * 40, 1: " 5"})
    assert numbers.digits(0) == "" and numbers.digits(1) == "5"
    assert np.isfinite(near_share("1" * 18, "", np.array([5.0]), np.array([1]), 0.02)).all()


def test_the_embedded_tokenizers_numbers():
    numbers = Molmo.from_pretrained("tiny").tokenizer.number_tokens()
    texts = set(numbers.values())
    assert {f" {i:03d}" for i in range(1000)} | set(DIGITS) <= texts
    assert all(text.strip().isdigit() and text.count(" ") <= 1 for text in texts)
