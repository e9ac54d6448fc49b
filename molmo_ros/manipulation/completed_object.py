# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The whole of an object, as far as it can be told from its visible side, as reaches along closing axes."""

from __future__ import annotations

import cv2
import numpy as np

from molmo_ros.manipulation.approach_frame import ApproachFrame
from molmo_ros.manipulation.closing_extents import CELL, LAYER, ClosingExtents
from molmo_ros.manipulation.revolution import OUTLIER, fit_revolution
from molmo_ros.manipulation.seen_surface import SeenSurface

TURN = np.radians(15.0)
"""Between neighbouring closing axes."""
BEYOND_SEEN = 0.001
"""Less than this is not worth completing [m]."""
MOST_FREE = 0.1
"""A body is not believed in where a larger share of it would be in free space."""


def completed_object(
    frame: ApproachFrame, surface: np.ndarray, seen: SeenSurface, floor: float, margin: int
) -> tuple[ClosingExtents, np.ndarray]:
    """How far the object reaches along closing axes, and the middle [2] of the area that it covers [m].

    What is behind something seen, along the approach, is solid: under the top of a box is the box. Where the surface
    is that of a body of revolution about the approach, the whole body is taken. Otherwise each cross-section is
    mirrored about the middle of its top, as far as the camera could not see that the space there is free.

    Args:
        surface: [h, w, 3], each pixel's place in the optical frame [m].
        floor: Height in the frame that nothing is looked at below [m].
        margin: Empty cells on both sides of the object.
    """
    points = frame.points(seen.points)
    top = float(np.quantile(points[:, 2], 0.995))
    layers = max(1, int((top - floor) / LAYER + 1e-6))
    solid, is_round = _body(points, frame, surface, seen)
    middle = _plan_middle(solid)
    _, _, rectangle = cv2.minAreaRect(np.ascontiguousarray(solid[:, :2], np.float32))
    angles = np.radians(rectangle) + np.arange(0.0, np.pi - 1e-6, TURN)
    extents = ClosingExtents.of(solid, angles, middle, top, layers, margin)
    if not is_round:
        _mirror(extents, frame, surface, seen)
    np.maximum.accumulate(extents.high, axis=2, out=extents.high)
    np.minimum.accumulate(extents.low, axis=2, out=extents.low)
    return extents, middle


def _body(
    points: np.ndarray, frame: ApproachFrame, surface: np.ndarray, seen: SeenSurface
) -> tuple[np.ndarray, bool]:
    """The object's points with its hidden side where it is a body of revolution; and whether it is one."""
    body = fit_revolution(points, seen.normals @ frame.axes, seen.noise)
    if body is None:
        return points, False
    rings = body.rings()
    optical = frame.origin + rings @ frame.axes.T
    if seen.in_free_space(surface, optical).mean() > MOST_FREE:
        return points, False
    on_it = points[body.deviations(points) > OUTLIER + 2 * seen.noise]
    return np.concatenate([rings, on_it]), True


def _mirror(extents: ClosingExtents, frame: ApproachFrame, surface: np.ndarray, seen: SeenSurface) -> None:
    """Completes cross-sections by symmetry, where that is hidden from the camera."""
    heights = extents.heights() + LAYER / 2
    across = extents.start[:, None] + CELL * (np.arange(extents.high.shape[1]) + 0.5)
    ridge = 2 * extents.ridge[..., None]
    filled = np.isfinite(extents.high) & np.isfinite(ridge)
    mirrored_high = np.where(filled, ridge - np.where(filled, extents.low, 0), 0)
    mirrored_low = np.where(filled, ridge - np.where(filled, extents.high, 0), 0)
    for reach, mirrored, sign in ((extents.high, mirrored_high, 1), (extents.low, mirrored_low, -1)):
        a, c, k = np.nonzero(filled & (sign * mirrored > sign * reach + BEYOND_SEEN))
        if not len(a):
            continue
        along = mirrored[a, c, k]
        cos, sin = np.cos(extents.angles[a]), np.sin(extents.angles[a])
        x, y = cos * along - sin * across[a, c], sin * along + cos * across[a, c]
        optical = frame.origin + np.stack([x, y, heights[k]], axis=1) @ frame.axes.T
        hidden = ~seen.in_free_space(surface, optical)
        reach[a[hidden], c[hidden], k[hidden]] = along[hidden]


def _plan_middle(solid: np.ndarray) -> np.ndarray:
    """[2] centre of the area that the object covers, seen along the approach [m]."""
    cells = np.unique(np.round(solid[:, :2] / CELL).astype(np.int32).view(np.int64).ravel())
    return CELL * cells.view(np.int32).reshape(-1, 2).mean(axis=0)
