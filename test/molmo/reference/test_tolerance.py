# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What may differ, worked out by hand."""

import numpy as np
import pytest
import torch

from molmo_ros.molmo.reference.tolerance import agree, allowed, largest_difference


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ([0.0], 1e-4),
        ([3.0, -10.0], 1e-4),  # up to 10 both are the same
        ([3.0, -70.0], 7e-4),
        ([2000.0], 2e-2),
        ([20.0, -1e8, -1e5, np.inf, np.nan], 2e-4),  # marks, and what is no number
        ([], 1e-4),
    ],
)
def test_the_larger_of_both(values, limit):
    assert allowed(np.array(values, np.float32)) == pytest.approx(limit, rel=1e-6)
    assert allowed(torch.tensor(values)) == pytest.approx(limit, rel=1e-6)


def test_differences():
    assert agree(np.array([70.0006]), np.array([70.0])) and not agree(np.array([70.0008]), np.array([70.0]))
    assert not agree(np.array([1.0002, 5.0]), np.array([1.0, 5.0]))
    assert largest_difference(np.array([np.inf]), np.array([np.inf])) == 0
    for nan in (np.array([np.nan, 1.0]), np.array([1.0, np.nan])):
        assert np.isnan(largest_difference(nan, np.array([1.0, 1.0]))) and not agree(nan, nan)
    assert largest_difference(np.array([1.0]), np.array([-np.inf])) == np.inf
    assert not agree(np.array([-99999.0, 1.0]), np.array([-1e5, 1.0]))
    with pytest.raises(ValueError, match="shape"):
        agree(torch.zeros(2), torch.zeros(3))
