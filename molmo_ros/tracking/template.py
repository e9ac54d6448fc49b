# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the surroundings of points looked like, found again to a fraction of a pixel: no drift from frame to frame.

Inverse compositional Lucas-Kanade of a similarity (Baker and Matthews, Lucas-Kanade 20 Years On, IJCV 2004), with
robust weights as in its part 2 (CMU-RI-TR-03-01; the function here is Cauchy's), on patches of zero mean and unit
contrast, all points at once. Places are complex numbers x + iy [px], 0 at the first pixel's centre; a patch is SIDE x
SIDE samples of the square of a radius about its place.
"""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 25
"""Samples along a patch's side."""
LONGEST = 0.1
"""Longest step of a round, in radii of the patch."""
STIFFNESS = 0.02
"""Weight of the prediction against the image, so that a patch without contrast stays where it is."""
OUTLIERS = np.geomspace(4.0, 0.5, 6)
"""Of each round: samples further off than this count for little, in contrasts of the patch: what is behind the object's
rim moves otherwise. All count at first, when the object is still off, too (Black and Anandan, The Robust Estimation of
Multiple Motions, CVIU 1996, lower theirs likewise)."""
LEAST_CONTRAST = 2.0
"""Patches with a smaller deviation show nothing but noise [gray levels]."""

_axis = np.linspace(-1, 1, SIDE)
GRID = (_axis[None, :] + 1j * _axis[:, None]).ravel()
"""complex [SIDE²] places of a patch's samples, in units of its radius."""


class Templates:
    """The patches of n points, ready to be found.

    Attributes:
        patches: float32 [n, SIDE²] grey levels.
        weights: float32 [n, SIDE²], which samples belong to the object; each row sums to 1.
    """

    def __init__(self, patches: np.ndarray, weights: np.ndarray) -> None:
        self.patches, self.weights = patches, weights
        self._normal = standardise(patches, weights)
        squares = self._normal.reshape(-1, SIDE, SIDE)
        per_unit = (SIDE - 1) / 2
        down = np.gradient(squares, axis=1).reshape(patches.shape) * per_unit
        right = np.gradient(squares, axis=2).reshape(patches.shape) * per_unit
        x, y = GRID.real.astype(np.float32), GRID.imag.astype(np.float32)
        # How the patch changes with a shift right, a shift down, growth, and a turn.
        self._steepest = np.stack([right, down, right * x + down * y, down * x - right * y], axis=1)

    def __getitem__(self, which: np.ndarray) -> Templates:
        """Those of some points, bool [n]."""
        return Templates(self.patches[which], self.weights[which])

    def joined(self, other: Templates) -> Templates:
        """These and then the other's."""
        return Templates(
            np.concatenate([self.patches, other.patches]), np.concatenate([self.weights, other.weights])
        )

    def renewed(self, which: np.ndarray, patches: np.ndarray) -> Templates:
        """The same with other patches [n, SIDE²] for some points, bool [n]."""
        return Templates(np.where(which[:, None], patches, self.patches), self.weights)

    def align(
        self, image: np.ndarray, place: np.ndarray, turn: np.ndarray, radius: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Moves, scales and turns the patches of an image until they look like these.

        Args:
            image: uint8 [h, w].
            place, turn: complex [n], where the patches are expected; scale and rotation as one factor.
            radius: [n] of the patches where `turn` is 1 [px].

        Returns:
            Place and turn, complex [n] each.
        """
        for outlier in OUTLIERS:
            error = standardise(sample(image, place, turn * radius), self.weights) - self._normal
            weighted = self._steepest * (self.weights / (1 + (error / outlier) ** 2))[:, None]
            hessian = weighted @ self._steepest.transpose(0, 2, 1) + STIFFNESS * np.eye(4)
            step = np.linalg.solve(hessian, weighted @ error[:, :, None])[:, :, 0]
            step = np.clip(step, -LONGEST, LONGEST)
            turn = turn / (1 + step[:, 2] + 1j * step[:, 3])
            place = place - turn * radius * (step[:, 0] + 1j * step[:, 1])
        return place, turn

    def similarity(self, patches: np.ndarray) -> np.ndarray:
        """[n] how much other patches [n, SIDE²] look like these, as `correlation` says."""
        return correlation(self.patches, patches, self.weights)


def sample(image: np.ndarray, place: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Patches of an image, bilinear, its border repeated.

    Args:
        image: uint8 [h, w].
        place: complex [n].
        radius: complex [n]; its angle turns the patch.

    Returns:
        float32 [n, SIDE²] grey levels.
    """
    at = place[:, None] + radius[:, None] * GRID
    x, y = at.real.astype(np.float32), at.imag.astype(np.float32)
    if not len(at):
        return x
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)


def contrast(patches: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[n, 1] weighted standard deviation of patches [n, s] [gray levels]."""
    centred = patches - (patches * weights).sum(axis=1, keepdims=True)
    return np.sqrt((centred**2 * weights).sum(axis=1, keepdims=True))


def standardise(patches: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Patches [n, s] less their weighted mean, over their contrast (at least `LEAST_CONTRAST`)."""
    centred = patches - (patches * weights).sum(axis=1, keepdims=True)
    return centred / np.maximum(contrast(patches, weights), LEAST_CONTRAST)


def correlation(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[n] zero-mean normalised cross-correlation of patches [n, s], in [-1, 1]; near 0 where one has no contrast."""
    return (standardise(one, weights) * standardise(other, weights) * weights).sum(axis=1)


def changed(
    one: np.ndarray, other: np.ndarray, weights: np.ndarray, within: float, levels: float
) -> np.ndarray:
    """[n] the share of samples nearer than `within` radii to the middle that differ by more than `levels`.

    The light may change: brightness and contrast of the other patch [n, s] are those of the one.
    """
    inner = np.abs(GRID) < within
    scale = np.maximum(contrast(one, weights), LEAST_CONTRAST)
    difference = np.abs(standardise(one, weights) - standardise(other, weights)) * scale
    return (difference[:, inner] > levels).mean(axis=1)
