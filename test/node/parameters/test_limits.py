# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A request's own limits are held to the ranges of the parameters of the same names."""

import math

import pytest

from molmo_ros.node.parameters.declaration import SPECS
from molmo_ros.node.parameters.limits import limits_error
from molmo_ros.node.records.request import QueryLimits


@pytest.mark.parametrize(
    "given",
    [
        {"min_confidence": math.nan},
        {"min_confidence": 2.0},
        {"min_confidence": -1.0},
        {"min_confidence": math.inf},
        {"time_limit": -0.5},
        {"time_limit": 1e9},
        {"max_frame_age": -2.0},
        {"max_points": 10_001},
        {"max_new_tokens": 2**32 - 1},
    ],
)
def test_out_of_range_is_refused_with_the_range(given):
    (name,) = given
    error = limits_error(QueryLimits(**given))
    assert name in error and SPECS[name].allowed in error


def test_in_range_and_left_out_is_accepted():
    assert limits_error(QueryLimits()) == ""
    assert limits_error(QueryLimits(10_000, 8192, 1.0, 3600.0, 0.001)) == ""
