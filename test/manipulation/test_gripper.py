# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Measures that no gripper has are refused by name."""

import math
from dataclasses import fields

import pytest

from molmo_ros.manipulation.gripper import Gripper, GripperError


@pytest.mark.parametrize("measure", [field.name for field in fields(Gripper)])
@pytest.mark.parametrize("value", [0.0, -0.01, math.nan, math.inf, 85.0, "0.085", True, None])
def test_an_impossible_measure_is_refused_with_its_name_and_what_would_be_right(measure, value):
    with pytest.raises(GripperError, match=f"^{measure} is .*must be"):
        Gripper(**{measure: value})


def test_whole_metres_are_numbers_too():
    assert Gripper(opening=1).opening == 1
