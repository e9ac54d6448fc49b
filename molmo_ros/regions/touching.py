# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One surface of several things that touch: cut where it turns inward, as solids do where they meet.

A thing is convex for the most part, and two of them meet in a valley (Stein et al. 2014, "Object partitioning using
local convexity"). A handle or a cap meets its own object in a valley, too; so only parts that stand on the support by
themselves, or that are large or pointed at, are things.
"""

from __future__ import annotations

import cv2
import numpy as np

from molmo_ros.regions.region import Plane

SPAN = 5
"""The surface is compared with its neighbours so far on both sides [px], in an image 640 wide."""
VALLEY_M = 0.0016
"""So far a valley lies behind the middle of its sides [m], at least."""
VALLEY_SIGMAS = 1.2
STANDS_M = 0.012
"""The lowest part of what stands on the support is not higher above it [m]."""
LEAST_PART = 0.12
"""Share of the surface's pixels that a part must have."""
LARGE_PART = 0.33
"""A part with this share is a thing even where its foot is hidden."""


def parted(
    mask: np.ndarray,
    depth: np.ndarray,
    points: np.ndarray,
    support: Plane | None,
    sigma: float,
    seeds: np.ndarray,
) -> np.ndarray:
    """int32 [h, w]: 0 outside of the mask, inside the number from 1 of each thing; all 1 where it is one.

    Args:
        mask: bool [h, w], one connected surface.
        depth: float32 [h, w] [m]; NaN without depth.
        points: float32 [h, w, 3], the same in the optical frame [m].
        support: What it stands on.
        sigma: Noise of the inverse depth [1/m].
        seeds: int [n, 2] rows and columns of the points on it.
    """
    whole = mask.astype(np.int32)
    span = max(2, round(SPAN * mask.shape[1] / 640))
    valley = _valleys(mask, depth, span, sigma)
    inside = (mask & (valley < 1)).astype(np.uint8)
    solid = cv2.morphologyEx(inside, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=4)
    area = int(mask.sum())
    markers = np.zeros(mask.shape, np.int32)
    found = 0
    pointed = set(numbers[seeds[:, 0], seeds[:, 1]].tolist()) - {0} if len(seeds) else set()
    for number in range(1, count):
        size = int(stats[number, cv2.CC_STAT_AREA])
        if size < LEAST_PART * area:
            continue
        part = numbers == number
        if (
            size >= LARGE_PART * area
            or (len(pointed) > 1 and number in pointed)
            or _stands(points[part], support)
        ):
            found += 1
            markers[part] = found
    if found < 2:
        return whole
    grown = markers.copy()
    grown[~mask] = found + 1
    height = np.clip(valley * 100, 0, 255).astype(np.uint8)
    cv2.watershed(cv2.merge([height, height, height]), grown)
    return _filled(grown, mask, found)


def _valleys(mask: np.ndarray, depth: np.ndarray, span: int, sigma: float) -> np.ndarray:
    """float32 [h, w]: how much the surface lies behind the middle of its sides, 1 where it is a valley."""
    weight = mask.astype(np.float32)
    inverse = np.where(mask & (depth > 0), 1.0 / np.where(mask & (depth > 0), depth, 1), 0).astype(np.float32)
    weight[inverse == 0] = 0
    size = (span, span) if span % 2 else (span + 1, span + 1)
    share = cv2.blur(weight, size)
    smooth = np.where(share > 0.2, cv2.blur(inverse, size) / np.maximum(share, 0.2), 0)
    known = smooth > 0
    deepest = np.zeros(mask.shape, np.float32)
    for dr, dc in ((0, span), (span, 0), (span, span), (span, -span)):
        one, other = np.roll(smooth, (dr, dc), (0, 1)), np.roll(smooth, (-dr, -dc), (0, 1))
        both = known & np.roll(known, (dr, dc), (0, 1)) & np.roll(known, (-dr, -dc), (0, 1))
        np.maximum(deepest, np.where(both, (one + other) / 2 - smooth, 0), out=deepest)
    distance = np.where(known, 1.0 / np.where(known, smooth, 1), 0)
    limit = VALLEY_M + VALLEY_SIGMAS * sigma * distance**2
    return deepest * distance**2 / limit


def _stands(points: np.ndarray, support: Plane | None) -> bool:
    """Whether a part reaches down to the support."""
    if support is None:
        return False
    heights = support.heights(points[np.isfinite(points[:, 0])])
    return bool(len(heights) and np.percentile(heights, 4) < STANDS_M)


def _filled(grown: np.ndarray, mask: np.ndarray, found: int) -> np.ndarray:
    """The parts with the lines between them given to a neighbour."""
    labels = np.where(mask & (grown > 0) & (grown <= found), grown, 0).astype(np.int32)
    for _ in range(8):
        empty = mask & (labels == 0)
        if not empty.any():
            break
        wider = cv2.dilate(labels.astype(np.float32), np.ones((3, 3), np.uint8))
        labels[empty] = wider[empty].astype(np.int32)
    labels[mask & (labels == 0)] = 1
    return labels
