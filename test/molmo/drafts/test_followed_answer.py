# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An earlier answer that is followed: through other numbers, through what was put in and what was left out."""

import pytest

from molmo_ros.molmo.drafts.followed_answer import FollowedAnswer

EARLIER = list(range(100, 130))


def along(earlier, answer):
    """How many of the answer's tokens were guessed."""
    followed, right = FollowedAnswer(earlier), 0
    for token in answer:
        guess = followed.guess()
        right += bool(guess) and guess[0] == token
        followed.took(token)
    return right


def test_the_same_again():
    assert along(EARLIER, EARLIER) == 30
    assert FollowedAnswer(EARLIER).guess() == tuple(EARLIER)


def test_another_token_takes_the_place_of_one():
    assert along(EARLIER, [*EARLIER[:5], 7, *EARLIER[6:12], 8, *EARLIER[13:]]) == 28


@pytest.mark.parametrize("more", [1, 2, 5, 11])
def test_what_was_put_in(more):
    answer = [*EARLIER[:10], *range(more), *EARLIER[10:]]
    assert along(EARLIER, answer) >= 30 - 2


@pytest.mark.parametrize("fewer", [1, 2, 5, 11])
def test_what_was_left_out(fewer):
    answer = [*EARLIER[:8], *EARLIER[8 + fewer :]]
    assert along(EARLIER, answer) >= 30 - fewer - 2


def test_something_else_altogether_and_beyond_the_end():
    assert along(EARLIER, list(range(40))) == 0
    assert along(EARLIER[:3], EARLIER) == 3
    assert along([], EARLIER) == 0
