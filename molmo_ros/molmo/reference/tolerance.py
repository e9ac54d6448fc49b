# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How far two computations of the same may be apart: another order of float32's roundings, and nothing else."""

from __future__ import annotations

import numpy as np
from torch import Tensor

ABSOLUTE, RELATIVE = 1e-4, 1e-5
"""Whichever allows more: 1e-4, or 1e-5 of the largest value. Values add up in float32, whose roundings are 6e-8 of
what is added: features of 70 are 1e-4 apart by that alone."""
MARK = 1e5
"""From here on a value is no result but a mark, as MolmoPoint's scores of what cannot be chosen: it allows nothing."""
RULE = f"{ABSOLUTE:g}, or {RELATIVE:g} of the largest value"
"""The rule in words."""


def allowed(reference: Tensor | np.ndarray) -> float:
    """The largest difference that any value may have.

    Args:
        reference: Everything that belongs together, of any shape.
    """
    sizes = np.abs(_float64(reference))
    return max(ABSOLUTE, RELATIVE * float(sizes[sizes < MARK].max(initial=0.0)))


def largest_difference(found: Tensor | np.ndarray, reference: Tensor | np.ndarray) -> float:
    """The largest absolute difference: NaN where one of them has a NaN, 0 for infinities that are the same.

    Raises:
        ValueError: They have different shapes.
    """
    one, other = _float64(found), _float64(reference)
    if one.shape != other.shape:
        raise ValueError(f"values of shape {one.shape} cannot be held against {other.shape}")
    with np.errstate(invalid="ignore"):
        apart = np.where(one == other, 0.0, np.abs(one - other))
    return float(apart.max(initial=0.0))


def agree(found: Tensor | np.ndarray, reference: Tensor | np.ndarray) -> bool:
    """Whether no value is further from the reference's than `allowed`.

    Raises:
        ValueError: They have different shapes.
    """
    return largest_difference(found, reference) <= allowed(reference)


def _float64(values: Tensor | np.ndarray) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, np.float64)
