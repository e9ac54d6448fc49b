# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whatever the scores, answers that keep to the grammar hold whole points in order."""

import numpy as np
import pytest

from molmo_ros.molmo.pointing.point_grammar import PointGrammar
from molmo_ros.molmo.pointing.point_tokens import PointTokens

TOKENS = PointTokens(start=5, patches=6, subpatches=3, locations=2)
P, NO_MORE, S, L = 5, 11, 12, 15
END = 17
KINDS = (TOKENS.patch, TOKENS.subpatch, TOKENS.location)


def allowed(answer, tokens=TOKENS):
    grammar = PointGrammar(tokens)
    for token in answer:
        grammar.accept(token)
    forbidden = {token for part in grammar.forbidden() for token in part}
    return sorted(set(range(tokens.all.stop)) - forbidden)


def write(random, weights, length):
    """An answer of the likeliest allowed tokens under random scores."""
    grammar, answer = PointGrammar(TOKENS), []
    for _ in range(length):
        scores = random.random(END) * weights
        for part in grammar.forbidden():
            scores[part.start : part.stop] = -1
        assert scores.max() >= 0, "nothing is allowed"
        answer.append(int(scores.argmax()))
        grammar.accept(answer[-1])
    return answer


def answers(words, count=300, length=40):
    """Random answers; the smaller `words`, the more often a point follows another at once."""
    for seed in range(count):
        weights = np.ones(END)
        weights[:P], weights[NO_MORE] = words, 0.9
        yield write(np.random.default_rng(seed), weights, length)


@pytest.mark.parametrize("words", [0.01, 0.5, 1.2])
def test_points_are_whole_and_in_order(words):
    points_seen = ends_seen = 0
    for answer in answers(words):
        ended = answer.index(NO_MORE) if NO_MORE in answer else len(answer)
        ends_seen += ended < len(answer)
        assert all(token < P for token in answer[ended + 1 :])
        points, at = [], 0
        while at < ended:
            if answer[at] < P:
                at += 1
                continue
            point, at = answer[at : at + 3], at + 3
            assert all(token in kind for token, kind in zip(point, KINDS, strict=False))
            if at <= ended:
                points.append((point[0], point[1]))
            else:
                assert ended == len(answer)  # nothing but the end of the answer cuts a point
        assert points == sorted(set(points))
        points_seen += len(points)
    assert points_seen > 300 and ends_seen > 30


@pytest.mark.parametrize("words", [0.01, 0.5, 1.2])
def test_forbids_what_the_reference_forbids(words):
    """Its rules on the whole answer at once, with the last two tokens left out where it looks back."""

    def reference(answer):
        everything = set(range(P, END))
        if NO_MORE in answer:
            return everything
        settled, last = answer[:-2], answer[-1] if answer else -1
        patches = [token for token in settled if P <= token < NO_MORE]
        subpatches = [token for token in settled if S <= token < L]
        if P <= last < NO_MORE:
            lowest = subpatches[-1] + 1 if patches and patches[-1] == last else S
            return set(range(END)) - set(range(lowest, L))
        if S <= last < L:
            return set(range(END)) - set(range(L, END))
        forbidden = set(range(S, END))
        if patches:
            forbidden |= set(range(P, patches[-1]))
            if subpatches and subpatches[-1] == L - 1:
                forbidden.add(patches[-1])
        return forbidden

    differences = 0
    for answer in answers(words, count=60):
        for length in range(len(answer)):
            expected = set(range(END)) - reference(answer[:length])
            found = set(allowed(answer[:length]))
            if found != expected:
                # Only here: the patch before is used up, and the reference would fail at its subpatch.
                patch, subpatch, location = answer[length - 3 : length]
                assert subpatch == L - 1 and location >= L and expected - found == {patch}
                differences += 1
    assert differences


def test_what_may_come_next():
    words, patches, subpatches, locations = [*range(5)], [*range(5, 11)], [12, 13, 14], [15, 16]
    assert allowed([]) == allowed([3]) == [*words, *patches, NO_MORE]
    assert allowed([3, 7]) == subpatches
    assert allowed([7, 13]) == locations
    assert allowed([7, 13, 15]) == allowed([7, 13, 15, 1]) == [*words, 7, 8, 9, 10, NO_MORE]
    assert allowed([7, 13, 15, 1, 7]) == [14]
    assert allowed([7, 13, 15, 1, 8]) == subpatches
    assert allowed([7, 14, 15, 1]) == [*words, 8, 9, 10, NO_MORE]
    assert allowed([7, 14, 15]) == [*words, 8, 9, 10, NO_MORE]
    assert allowed([NO_MORE]) == allowed([7, 14, 15, 1, NO_MORE, 2]) == words
