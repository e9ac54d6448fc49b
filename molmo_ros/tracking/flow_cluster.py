# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How clusters of features moved from one frame to the next: Lucas-Kanade, checked backwards, fitted robustly.

Places are complex numbers x + iy [px], so that a similarity is one multiplication and one addition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

WINDOW = (15, 15)
LEVELS = 3
RETURN_ERROR = 1.0
"""A feature must come back this close when it is followed backwards [px] (Kalal et al., Forward-Backward Error:
Automatic Detection of Tracking Failures, ICPR 2010)."""
AGREE = 1.5
"""A feature agrees with its cluster's median motion within this, or twice the cluster's median deviation [px]."""

FEWEST_FOR_TURN = 4
LEAST_SPREAD = 3.0
"""Features nearer together than this do not tell how their cluster turned [px]."""
MOST_CHANGE = 0.2
"""Scale or rotation of a single step beyond this is an error."""


@dataclass(frozen=True)
class Flow:
    """The motion of n clusters.

    Attributes:
        shift: complex [n], of the cluster's anchor [px]. Where too few features tell, that of most other clusters: the
            camera moved.
        turn: complex [n], scale and rotation about the anchor; 1 where too few features tell.
    """

    shift: np.ndarray
    turn: np.ndarray


def follow(before: np.ndarray, after: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Follows features from one grey image to the next.

    Args:
        before, after: uint8 [h, w].
        places: complex [m].

    Returns:
        complex [m] their new places, and bool [m] whether they came back when followed backwards.
    """
    if not len(places):
        return places, np.zeros(0, bool)
    start = np.stack([places.real, places.imag], axis=1).astype(np.float32)
    settings: dict[str, Any] = {
        "winSize": WINDOW,
        "maxLevel": LEVELS,
        "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 15, 0.03),
        "minEigThreshold": 1e-3,
    }
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, start, start.copy(), **settings)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(after, before, there, there.copy(), **settings)
    good = (found[:, 0] == 1) & (returned[:, 0] == 1)
    good &= np.linalg.norm(back - start, axis=1) < RETURN_ERROR
    height, width = after.shape
    good &= (there >= 0).all(axis=1) & (there <= (width - 1, height - 1)).all(axis=1)
    return there[:, 0] + 1j * there[:, 1].astype(np.float64), good


def fit_flow(offsets: np.ndarray, flows: np.ndarray, good: np.ndarray) -> Flow:
    """The similarity of every cluster, from the features that agree with the cluster's median motion.

    Args:
        offsets: complex [n, k] features relative to their anchors before [px].
        flows: complex [n, k] how each moved [px].
        good: bool [n, k] which were followed.
    """
    deviation = np.abs(flows - _median(flows, good)[:, None])
    limit = np.maximum(AGREE, 2 * _median(deviation, good).real)
    agree = good & (deviation <= limit[:, None])
    count = agree.sum(axis=1)
    weight = agree / np.maximum(count, 1)[:, None]
    middle, shift = (weight * offsets).sum(axis=1), (weight * flows).sum(axis=1)
    # Least squares of a complex factor: flow = shift + (turn - 1) (offset - middle)  (Umeyama, PAMI 1991, in 2-D).
    arms = offsets - middle[:, None]
    spread = (weight * np.abs(arms) ** 2).sum(axis=1)
    change = (weight * arms.conj() * (flows - shift[:, None])).sum(axis=1) / np.maximum(spread, 1e-9)
    known = (count >= FEWEST_FOR_TURN) & (spread > LEAST_SPREAD**2) & (np.abs(change) < MOST_CHANGE)
    change = np.where(known, change, 0)
    shift = shift - change * middle
    told = count >= 2
    return Flow(np.where(told, shift, _median(shift[None], told[None])), 1 + change)


def _median(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """complex [n]: the median of real and imaginary parts along the rows, 0 where nothing is good."""
    counts = good.sum(axis=1)
    middle = np.maximum(counts - 1, 0) // 2
    parts = []
    for part in (np.real(values), np.imag(values)):
        ordered = np.sort(np.where(good, part, np.inf), axis=1)
        low = np.take_along_axis(ordered, middle[:, None], axis=1)[:, 0]
        high = np.take_along_axis(ordered, (np.maximum(counts, 1) // 2)[:, None], axis=1)[:, 0]
        parts.append(np.where(counts > 0, (low + high) / 2, 0))
    return parts[0] + 1j * parts[1]
