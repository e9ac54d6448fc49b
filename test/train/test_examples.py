# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The simulator's pictures that engines are built with: their own, the same each time, and with questions."""

import numpy as np

from molmo_ros.train.examples import SIMULATED_SEED, simulated_examples, simulated_questions
from molmo_ros.train.held_out import HELD_OUT
from molmo_ros.train.precision import scenes_with_queries
from molmo_ros.train.scenes import FIRST_SEED


def test_the_simulators_scenes_are_neither_trained_nor_evaluated_on():
    assert HELD_OUT + 100_000 < SIMULATED_SEED < FIRST_SEED - 100_000
    first, again = next(simulated_examples(1)), next(simulated_examples(1))
    assert np.array_equal(first.image, again.image) and first[1:] == again[1:]


def test_the_questions_are_the_first_about_held_out_scenes():
    asked = simulated_questions(4)
    wanted = [
        (picture, query.prompt)
        for _, picture, queries in scenes_with_queries((HELD_OUT, HELD_OUT + 1), 2)
        for query in queries
    ]
    assert len(asked) == 4 and [words for _, words in asked] == [words for _, words in wanted]
    assert all(np.array_equal(one, other) for (one, _), (other, _) in zip(asked, wanted, strict=True))
