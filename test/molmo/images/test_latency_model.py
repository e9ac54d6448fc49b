# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The fit against machines whose times are known."""

import numpy as np
import pytest

from molmo_ros.molmo.images.latency_model import LatencyModel, QueryTiming

COSTS = [(1, 410), (3, 536), (5, 752), (9, 1189)]


def timing(passes, tokens, answer=20, base=0.03, per_pass=0.05, per_token=4e-4, per_answer=0.01, factor=1.0):
    parts = (base + per_pass * passes, per_token * tokens, per_answer * answer)
    return QueryTiming(passes, tokens, answer, *(part * factor for part in parts))


def test_an_exact_line_is_found_again():
    model = LatencyModel.fit([timing(*cost) for cost in COSTS])
    assert (model.base, model.per_pass) == pytest.approx((0.03, 0.05))
    assert (model.per_token, model.per_answer_token) == pytest.approx((4e-4, 0.01))
    assert model.predict(7, 900, 12) == pytest.approx(timing(7, 900, 12).total)


def test_small_errors_of_the_times_are_small_errors_of_the_prediction():
    rng = np.random.default_rng(1)
    for _ in range(20):
        factors = 1 + rng.uniform(-0.1, 0.1, len(COSTS))
        noisy = [timing(*cost, factor=factor) for cost, factor in zip(COSTS, factors, strict=True)]
        model = LatencyModel.fit(noisy)
        for cost in COSTS:
            assert model.predict(*cost, 20) == pytest.approx(timing(*cost).total, rel=0.2)


def test_a_query_that_something_held_up_does_not_count():
    timings = [timing(*cost, factor=factor) for cost in COSTS for factor in (1, 5, 1)]
    assert LatencyModel.fit(timings).predict(7, 900, 20) == pytest.approx(timing(7, 900).total)


def test_one_tiling_alone_overrates_larger_ones():
    model = LatencyModel.fit([timing(1, 410), timing(1, 410, factor=1.2)])
    assert timing(1, 410).total <= model.predict(1, 410, 20) <= timing(1, 410, factor=1.2).total
    assert model.predict(9, 1189, 20) > timing(9, 1189).total


def test_no_coefficient_is_negative():
    falling = LatencyModel.fit(
        [QueryTiming(1, 410, 20, 0.5, 0.5, 0.1), QueryTiming(9, 1189, 20, 0.4, 0.4, 0.1)]
    )
    assert (falling.per_pass, falling.per_token) == (0, 0)
    assert 0.8 < falling.base < 1
    steep = LatencyModel.fit(
        [QueryTiming(1, 410, 20, 0.01, 0.01, 0.1), QueryTiming(9, 1189, 20, 1.0, 1.0, 0.1)]
    )
    assert steep.base == 0 and steep.per_pass > 0 and steep.per_token > 0


def test_answers_without_tokens_say_nothing_about_decoding():
    model = LatencyModel.fit([QueryTiming(1, 410, 0, 0.1, 0.1, 0.0), timing(3, 536)])
    assert model.per_answer_token == pytest.approx(0.01)
    assert LatencyModel.fit([QueryTiming(1, 410, 0, 0.1, 0.1, 0.0)]).per_answer_token == 0
