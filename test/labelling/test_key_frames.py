# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which frames are asked about."""

import numpy as np
import pytest

from molmo_ros.labelling.key_frames import key_frames


@pytest.mark.parametrize(
    ("rate", "expected"), [(0, range(30)), (10, range(30)), (2, range(0, 30, 5)), (100, range(30))]
)
def test_at_ten_frames_a_second(rate, expected):
    times = [float(np.float32(n / 10)) for n in range(30)]
    assert key_frames(times, rate) == list(expected)


def test_frames_that_are_missing_shift_nothing():
    times = [0.0, 0.4, 1.3, 1.9, 2.0, 3.1]
    assert key_frames(times, 1) == [0, 2, 4, 5]


def test_a_frame_a_little_early_counts():
    assert key_frames([0.0, 0.98, 1.99, 2.5], 1) == [0, 1, 2]


def test_no_frames():
    assert key_frames([], 1) == []
