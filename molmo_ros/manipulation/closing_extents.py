# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How far an object reaches along closing axes: what fingers that come down on both sides would touch.

Points are sorted into cells: by closing axis, by place across it (along the finger's width), and by depth below the
object's top. A cell holds the farthest and the nearest reach along the closing axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CELL = 0.005
"""Size of a cell across the closing axis [m]."""
LAYER = 0.003
"""Depth of a cell [m]."""
RIDGE = 0.0025
"""How far below the top of a cross-section its ridge reaches [m]."""


@dataclass(frozen=True)
class ClosingExtents:
    """Reaches in cells, for a closing axes, c cells across each and k layers from the top.

    Attributes:
        angles: float64 [a], of the closing axes from the frame's x axis, about its z axis [rad].
        start: float64 [a], where the first cell begins across the closing axis [m].
        top: Height of the object [m].
        high, low: float64 [a, c, k], farthest and nearest reach along the closing axis [m]; -inf and inf where
            nothing is.
        ridge: float64 [a, c], the middle of what is uppermost in each cross-section, along the closing axis [m]; NaN
            where there is none.
    """

    angles: np.ndarray
    start: np.ndarray
    top: float
    high: np.ndarray
    low: np.ndarray
    ridge: np.ndarray

    @classmethod
    def of(
        cls, points: np.ndarray, angles: np.ndarray, middle: np.ndarray, top: float, layers: int, margin: int
    ) -> ClosingExtents:
        """The reaches of points.

        Args:
            points: [n, 3] in the approach's frame [m].
            angles: [a] [rad].
            middle: [2] in the same frame [m]: the border or the middle of a cell for every closing axis.
            layers: How many; deeper points are left out.
            margin: Empty cells on both sides.
        """
        across, along = planar(points[:, :2] - middle, angles)
        first = np.floor(across.min(axis=1) / CELL).astype(int) - margin
        cell = np.floor(across / CELL).astype(int) - first[:, None]
        count = int(cell.max()) + 1 + margin
        layer = np.clip((top - points[:, 2]) / LAYER, 0, layers).astype(int)
        shape = (len(angles), count, layers + 1)
        column = (np.arange(len(angles))[:, None] * count + cell).ravel()
        index = column * (layers + 1) + np.tile(layer, len(angles))
        along, height = (
            along.ravel().astype(np.float32),
            np.tile(points[:, 2], len(angles)).astype(np.float32),
        )
        high, low = _farthest(along, index, shape), -_farthest(-along, index, shape)
        upper = height > _farthest(height, column, shape[:2]).ravel()[column] - RIDGE
        ridge = _farthest(along[upper], column[upper], shape[:2])
        nearest = -_farthest(-along[upper], column[upper], shape[:2])
        # Of empty cells both are infinite, with opposite signs.
        ridge = (np.where(np.isfinite(ridge), ridge, np.nan) + nearest) / 2
        across_middle, along_middle = planar(middle[None], angles)
        return cls(
            angles,
            first * CELL + across_middle[:, 0],
            top,
            high[..., :-1] + along_middle[..., None],
            low[..., :-1] + along_middle[..., None],
            _smooth(ridge) + along_middle,
        )

    def heights(self) -> np.ndarray:
        """float64 [k]: the lower end of each layer [m]."""
        return self.top - LAYER * (1 + np.arange(self.high.shape[2]))


def planar(plan: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float [a, n] twice: places [n, 2] across and along each closing axis [m]."""
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    return cos * plan[:, 1] - sin * plan[:, 0], cos * plan[:, 0] + sin * plan[:, 1]


def _farthest(values: np.ndarray, index: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """float32 of a shape: the largest value of each flat index; -inf where there is none."""
    largest = np.full(int(np.prod(shape)), -np.inf, np.float32)
    np.maximum.at(largest, index, values)
    return largest.reshape(shape)


def _smooth(ridge: np.ndarray) -> np.ndarray:
    """The median of each cell and its two neighbours: at an object's ends few points tell where its ridge is."""
    padded = np.pad(ridge, ((0, 0), (1, 1)), constant_values=np.nan)
    three = np.sort(np.stack([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]]), axis=0)  # NaN come last
    return np.where(np.isfinite(three[2]), three[1], three[0])
