"""What the surroundings of points looked like, found again to a fraction of a pixel: no drift from frame to frame.

Inverse compositional Lucas-Kanade of a similarity (Baker and Matthews, Lucas-Kanade 20 Years On, IJCV 2004) on patches
of zero mean and unit contrast, all points at once. Places are complex numbers x + iy [px].
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 25
"""Samples along a patch's side."""
ROUNDS = 6
STIFFNESS = 0.02
"""Weight of the prediction against the image, so that a patch without contrast stays where it is."""

_axis = np.linspace(-1, 1, SIDE)
GRID = (_axis[None, :] + 1j * _axis[:, None]).ravel()
"""complex [SIDE²] places of a patch's samples, in units of its radius."""


@dataclass(frozen=True)
class Pose:
    """Where n patches are.

    Attributes:
        place: complex [n], the middle [px].
        turn: complex [n], scale and rotation since the start.
    """

    place: np.ndarray
    turn: np.ndarray


class Templates:
    """The patches of n points."""

    def __init__(self, patches: np.ndarray, weights: np.ndarray) -> None:
        """
        Args:
            patches: float32 [n, SIDE²] grey levels.
            weights: float32 [n, SIDE²], which samples belong to the object; each row sums to 1.
        """
        self.patches, self.weights = patches, weights
        self._normal = standardise(patches, weights)
        squares = self._normal.reshape(-1, SIDE, SIDE)
        # Per unit of the grid: a sample's step is 2 / (SIDE - 1).
        down, right = (
            np.gradient(squares, axis=axis).reshape(patches.shape) * ((SIDE - 1) / 2) for axis in (1, 2)
        )
        x, y = GRID.real.astype(np.float32), GRID.imag.astype(np.float32)
        steepest = np.stack([right, down, right * x + down * y, down * x - right * y], axis=2)
        self._weighted = steepest * weights[:, :, None]
        hessian = np.einsum("nsp,nsq->npq", steepest, self._weighted)
        self._inverse = np.linalg.inv(hessian.astype(np.float64) + STIFFNESS * np.eye(4))

    def align(self, image: np.ndarray, pose: Pose, radius: np.ndarray) -> Pose:
        """Moves, scales and turns the patches of an image [h, w] until they look like these."""
        place, turn = pose.place, pose.turn
        for _ in range(ROUNDS):
            error = standardise(sample(image, place, turn, radius), self.weights) - self._normal
            step = np.einsum("npq,nq->np", self._inverse, np.einsum("nsp,ns->np", self._weighted, error))
            step = np.clip(step, -0.1, 0.1)
            change = 1 / (1 + step[:, 2] + 1j * step[:, 3])
            turn = turn * change
            place = place - turn * radius * (step[:, 0] + 1j * step[:, 1])
        return Pose(place, turn)

    def similarity(self, patches: np.ndarray) -> np.ndarray:
        """[n] zero-mean normalised cross-correlation with other patches [n, SIDE²], in [-1, 1]."""
        return (self._normal * standardise(patches, self.weights) * self.weights).sum(axis=1)


def sample(image: np.ndarray, place: np.ndarray, turn: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """float32 [n, SIDE²] grey levels of an image [h, w] at the patches' places, bilinear, its border repeated."""
    at = place[:, None] + (turn * radius)[:, None] * GRID
    return cv2.remap(
        image,
        at.real.astype(np.float32),
        at.imag.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)


def standardise(patches: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Patches [n, s] less their weighted mean, over their weighted deviation (at least 2 gray levels: noise)."""
    centred = patches - (patches * weights).sum(axis=1, keepdims=True)
    deviation = np.sqrt((centred**2 * weights).sum(axis=1, keepdims=True))
    return centred / np.maximum(deviation, 2.0)
