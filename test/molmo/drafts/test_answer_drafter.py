# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is guessed, and how much of it, for answers of a small language of points."""

import random

import pytest

from molmo_ros.molmo.drafts.draft_memory import MOST_ANSWERS, DraftMemory
from molmo_ros.molmo.drafts.pass_times import ENOUGH, SIZES


class Words:
    """A tokenizer of a token for each word; those of digits are numbers."""

    def __init__(self):
        self.ids = {str(number): number for number in range(1000)}

    def encode(self, text):
        return [self.ids.setdefault(word, 1000 + len(self.ids)) for word in text.split()]

    def number_tokens(self):
        return {number: str(number) for number in range(1000)}


def points(*places, label="mug"):
    return "begin " + " ".join(f"{n} {x} {y}" for n, (x, y) in enumerate(places, 1)) + f" close {label} end"


@pytest.fixture
def words():
    return Words()


@pytest.fixture
def memory(words):
    return DraftMemory(words)


def passes(memory, words, text, view="", query="q", label="mug", most=32):
    """Lets an answer be said; returns in how many passes, the prompt's included, and what they cost."""
    drafter, left, count, cost = memory.drafter(view, query, label), words.encode(text), 0, 0.0
    while left:
        guess = list(drafter.draft(most, 1))
        right = 0
        while right < min(len(guess), len(left)) and guess[right] == left[right]:
            right += 1
        cost += memory.pass_times.cost(1 + len(guess))
        for token in left[: right + 1]:
            drafter.took(token)
        left = left[right + 1 :]
        count += 1
    drafter.finish()
    return count, cost


def warm(memory, words, rounds=40):
    generator = random.Random(0)
    for _ in range(rounds):
        place = generator.randrange(100, 1000), generator.randrange(100, 1000)
        passes(memory, words, points(place), query=str(generator.random()))


def test_a_first_answer_takes_a_pass_for_each_token(memory, words):
    assert passes(memory, words, points((250, 300)))[0] == 7


def test_the_format_is_known_and_the_numbers_are_not(memory, words):
    warm(memory, words)
    assert passes(memory, words, points((251, 307)), query="another")[0] == 3  # to x, to y, the rest


def test_the_label_is_the_one_that_was_asked_for(memory, words):
    warm(memory, words)
    text = points((251, 307), label="very large yellow banana")
    assert passes(memory, words, text, query="new", label="very large yellow banana")[0] == 3


def test_the_same_query_again(memory, words):
    warm(memory, words)
    places = (120, 430), (555, 666), (777, 888)
    first, _ = passes(memory, words, points(*places), view="left", query="mugs")
    for _ in range(5):  # until it is known that nothing moves
        again, _ = passes(memory, words, points(*places), view="left", query="mugs")
    assert again < first and again == 1


@pytest.mark.parametrize("dear", [0.02, 0.2, 1.0])
def test_guesses_that_hardly_ever_hold_cost_nothing(memory, words, dear):
    """Words at random: on the whole never 2 % more than without guesses, whatever a longer pass costs."""
    for _ in range(ENOUGH):
        for size in SIZES:
            memory.pass_times.took(size, 1 + dear * (size - 1))
    generator, costs, count = random.Random(1), 0.0, 0
    for number in range(300):
        said = [f"{generator.randrange(9)}x" for _ in range(12)]
        costs += passes(memory, words, " ".join(said), query=str(number), label="")[1]
        count += len(said)
    assert costs < 1.02 * count


def test_dear_passes_take_short_guesses(memory, words):
    warm(memory, words)
    for _ in range(ENOUGH):
        for size in SIZES:
            memory.pass_times.took(size, float(size))  # a pass over two costs as much as two passes
    assert passes(memory, words, points((251, 307)), query="another")[0] == 7


def test_no_room(memory, words):
    warm(memory, words)
    assert list(memory.drafter("", "q", "mug").draft(0, 1)) == []
    assert len(memory.drafter("", "q", "mug").draft(1, 1)) <= 1


def test_only_so_many_answers_are_kept(memory, words):
    for number in range(MOST_ANSWERS + 20):
        passes(memory, words, points((100, 200)), query=str(number))
    assert len(memory._answers) == MOST_ANSWERS
