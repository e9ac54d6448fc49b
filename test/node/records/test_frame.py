# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import pytest

from molmo_ros.node.records.frame import FUTURE_SKEW, PastTime, refusal

SECOND = 1_000_000_000
NOW = 1000 * SECOND


@pytest.mark.parametrize("age", [0.0, 0.999, 1.0, -0.05, -0.2])
def test_fresh(age):
    assert refusal(NOW - int(age * SECOND), NOW, 1.0) == ""


@pytest.mark.parametrize(
    ("stamp", "now", "reason"),
    [
        (NOW - 2 * SECOND, NOW, "2.00 s old, max_frame_age is 1 s"),
        (NOW + 2 * SECOND, NOW, "2.00 s in the future"),
        (NOW + SECOND // 2, NOW, "0.50 s in the future"),
        (0, NOW, "no stamp"),
        (NOW, 0, "/clock"),
    ],
)
def test_refused(stamp, now, reason):
    assert reason in refusal(stamp, now, 1.0)
    assert refusal(stamp, now, 0.0) == ""


def test_the_time_before_a_jump_is_past_whenever_its_messages_come():
    """The clock goes from 20 s back to 1 s; what was stamped from 2 s to 20 s comes late."""
    past = PastTime(1 * SECOND, 19 * SECOND)
    for now in (1.0, 1.5, 10.0, 19.9):
        stamped = [stamp for stamp in range(2, 21) if stamp > now + FUTURE_SKEW]
        assert all(past.holds(stamp * SECOND, round(now * SECOND)) for stamp in stamped)
        assert not past.holds(round(now * SECOND), round(now * SECOND))
        assert not past.holds(round((now + 0.1) * SECOND), round(now * SECOND))
    assert past.holds(SECOND // 2, round(1.1 * SECOND))
    assert not past.holds(round(0.9 * SECOND), round(1.1 * SECOND))


def test_once_the_clock_has_caught_up_nothing_is_past():
    past = PastTime(1 * SECOND, 19 * SECOND)
    assert not past.holds(30 * SECOND, 20 * SECOND) and not past.holds(0, 20 * SECOND)


def test_a_second_jump_does_not_let_the_first_ones_past_return():
    second = PastTime(1 * SECOND, 4 * SECOND, PastTime(1 * SECOND, 19 * SECOND))
    assert second.holds(18 * SECOND, 6 * SECOND)
    assert not PastTime(1 * SECOND, 4 * SECOND).holds(18 * SECOND, 6 * SECOND)
