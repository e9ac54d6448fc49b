# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Corners on the surfaces around points: what optical flow can hold on to."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from molmo_ros.tracking.object_region import Region, window_about

MOST = 24
"""Most features of a point, itself included."""
FEWEST = 5
TOGETHER = 6000
"""Features of all points together, about: very many points get fewer each."""
QUALITY = 0.02
"""Corners weaker than this share of the region's strongest are left out."""


def choose_features(
    image: np.ndarray, places: np.ndarray, regions: Sequence[Region]
) -> tuple[np.ndarray, np.ndarray]:
    """The point itself and the strongest corners of its region (Shi and Tomasi, Good Features to Track, CVPR 1994).

    Args:
        image: uint8 [h, w].
        places: complex [n], of the points; 0 at the first pixel's centre [px].
        regions: n of them.

    Returns:
        complex [n, k] offsets from the point [px], padded; bool [n, k], which of them are no padding.
    """
    each = int(np.clip(TOGETHER // max(len(regions), 1), FEWEST, MOST))
    offsets = np.zeros((len(regions), each), complex)
    there = np.zeros(offsets.shape, bool)
    there[:, 0] = True
    for n, (place, region) in enumerate(zip(places, regions, strict=True)):
        window = window_about(image, place, len(region.mask))
        corners = cv2.goodFeaturesToTrack(
            window, each - 1, QUALITY, max(2.0, region.radius / 6), mask=region.mask, blockSize=5
        )
        if corners is not None:
            found = corners[:, 0] @ (1, 1j) - region.radius * (1 + 1j)
            offsets[n, 1 : len(found) + 1], there[n, 1 : len(found) + 1] = found, True
    return offsets, there
