# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Connected surfaces of a depth image: what no support and no jump in depth parts."""

from __future__ import annotations

import cv2
import numpy as np

JUMP_RATIO = 0.012
JUMP_SIGMAS = 5.0
COARSE = 4
"""Every so many pixels are enough for the view's typical depth."""


def connected_surfaces(depth: np.ndarray, foreground: np.ndarray, sigma: float) -> np.ndarray:
    """int32 [h, w]: numbers from 1 of the connected surfaces, 0 elsewhere.

    Args:
        depth: float32 [h, w] [m]; NaN without depth.
        foreground: bool [h, w], what is no support.
        sigma: Noise of the inverse depth [1/m].
    """
    # A jump is told by the ratio of depths: along a slanted surface, too, steps grow with the distance.
    coarse = depth[::COARSE, ::COARSE]
    coarse = coarse[np.isfinite(coarse)]
    typical = float(np.median(coarse)) if len(coarse) else 0.0
    limit = 1.0 + JUMP_RATIO + JUMP_SIGMAS * sigma * typical
    barrier = np.zeros(depth.shape, bool)
    farther = depth * np.float32(limit)
    with np.errstate(invalid="ignore"):
        barrier[1:] |= depth[1:] > farther[:-1]
        barrier[:-1] |= depth[:-1] > farther[1:]
        barrier[:, 1:] |= depth[:, 1:] > farther[:, :-1]
        barrier[:, :-1] |= depth[:, :-1] > farther[:, 1:]
    inside = foreground & ~barrier
    labels = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)[1]
    _give_back(labels, depth, np.argwhere(foreground & barrier), limit)
    return labels


def _give_back(labels: np.ndarray, depth: np.ndarray, pixels: np.ndarray, limit: float) -> None:
    """Barrier pixels go to the neighbouring surface that they continue."""
    height, width = depth.shape
    pixels = pixels[(pixels > 0).all(axis=1) & (pixels[:, 0] < height - 1) & (pixels[:, 1] < width - 1)]
    rows, columns = pixels.T
    own = depth[rows, columns]
    given = np.zeros(len(rows), np.int32)
    for dr, dc in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        other = depth[rows + dr, columns + dc]
        fits = (np.maximum(own, other) <= np.minimum(own, other) * limit) & (given == 0)
        given[fits] = labels[rows[fits] + dr, columns[fits] + dc]
    labels[rows, columns] = given
