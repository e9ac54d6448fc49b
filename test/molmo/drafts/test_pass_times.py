# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What passes cost beside one over a single token."""

import pytest

from molmo_ros.molmo.drafts.pass_times import ENOUGH, SIZES, STALE, WORTH_KEEPING, PassTimes


def measured(cost, passes=ENOUGH):
    times = PassTimes()
    for _ in range(passes):
        for size in SIZES:
            times.took(size, cost(size))
    return times


def test_nothing_known():
    times = PassTimes()
    assert times.cost(1) == 1.0 and 1.0 < times.cost(8) < times.cost(64) < 8


def test_the_measured_curve():
    times = measured(lambda tokens: 0.5 + 0.1 * tokens)
    for tokens in (1, 2, 3, 6, 12, 24, 48, 64):
        assert times.cost(tokens) == pytest.approx((0.5 + 0.1 * tokens) / 0.6)
    assert times.cost(128) > times.cost(64)


def test_sizes_between_those_that_are_kept():
    times = PassTimes()
    for _ in range(ENOUGH):
        for tokens in (1, 7, 9, 15):
            times.took(tokens, 1.0 + 0.05 * (tokens - 1))
    assert times.cost(8) == pytest.approx(1.35, rel=1e-6)


def test_what_else_the_machine_did_does_not_count():
    times = measured(lambda tokens: 0.5 + 0.1 * tokens)
    for _ in range(4):
        times.took(8, 50.0)
        times.took(1, 30.0)
    assert times.cost(8) == pytest.approx(1.3 / 0.6)


def test_a_size_that_was_slow_when_it_was_met_is_tried_again():
    times = measured(lambda tokens: 1.0 if tokens == 1 else 100.0)
    assert times.cost(2) == pytest.approx(100.0)
    for _ in range(STALE + 1):
        times.took(1, 1.0)
    assert times.cost(2) < 2


def test_never_cheaper_for_being_longer():
    times = measured(lambda tokens: 2.0 / tokens)
    assert [times.cost(size) for size in SIZES] == [1.0] * len(SIZES)


def test_what_an_earlier_process_has_measured_is_known_at_once_and_told_once():
    kept = []
    first = PassTimes()
    first.begin_with({}, kept.append)
    for _ in range(2 * ENOUGH):
        for size in WORTH_KEEPING:
            first.took(size, 0.5 + 0.1 * size)
    (seconds,) = kept
    assert seconds == {size: pytest.approx(0.5 + 0.1 * size) for size in WORTH_KEEPING}
    later = PassTimes()
    later.begin_with(seconds | {3: 1e9, -1: 0.0}, kept.append)
    assert later.cost(8) == first.cost(8) == pytest.approx(1.3 / 0.6)
    for _ in range(ENOUGH):
        for size in WORTH_KEEPING:
            later.took(size, 0.05 + 0.05 * size)  # a faster machine: what is measured counts
    assert later.cost(8) == pytest.approx(0.45 / 0.1) and len(kept) == 1
