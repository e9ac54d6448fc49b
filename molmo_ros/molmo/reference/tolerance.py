"""How far two computations of the same may be apart: another order of float32's roundings, and nothing else."""

from __future__ import annotations

import numpy as np
from torch import Tensor

ABSOLUTE, RELATIVE = 1e-4, 1e-5
"""Whichever allows more: 1e-4, or 1e-5 of the largest value. Values add up in float32, whose roundings are 6e-8 of
what is added: features of 70 are 1e-4 apart by that alone."""


def allowed(reference: Tensor | np.ndarray) -> float:
    """The largest difference that any value may have.

    Args:
        reference: Everything that belongs together, of any shape; values that are not finite allow nothing.
    """
    values = reference.detach().cpu().numpy() if isinstance(reference, Tensor) else np.asarray(reference)
    largest = float(np.abs(values.astype(np.float64)).max(initial=0.0))
    return max(ABSOLUTE, RELATIVE * largest) if np.isfinite(largest) else 0.0


def largest_difference(found: Tensor | np.ndarray, reference: Tensor | np.ndarray) -> float:
    """The largest absolute difference; infinite where one of them has a value that is no number and the other has not.

    Raises:
        ValueError: They have different shapes.
    """
    one, other = (
        value.detach().cpu().double().numpy() if isinstance(value, Tensor) else np.asarray(value, np.float64)
        for value in (found, reference)
    )
    if one.shape != other.shape:
        raise ValueError(f"values of shape {one.shape} cannot be held against {other.shape}")
    with np.errstate(invalid="ignore"):
        apart = np.abs(one - other)
    apart[(one == other) | (np.isnan(one) & np.isnan(other))] = 0.0
    return float(np.where(np.isnan(apart), np.inf, apart).max(initial=0.0))
