# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Views that are harder than those the embedded checkpoint was trained on: dark, noisy, blurred, covered, small.

A checkpoint that is right 98 times out of 100 shows nothing about its confidence; with these there are errors.
Each keeps the segmentation true to what can still be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from molmo_ros.sim.renderer import Rendering, add_noise

LEAST_PIXELS = 40
"""Objects with fewer visible pixels are taken as not there."""


def plain(frame: Rendering, rng: np.random.Generator) -> Rendering:
    """As in training and evaluation: sensor noise of 3 gray levels."""
    return _with(frame, add_noise(frame.rgb, rng))


def noisy(frame: Rendering, rng: np.random.Generator) -> Rendering:
    """Sensor noise of 40 to 120 gray levels."""
    return _with(frame, add_noise(frame.rgb, rng, rng.uniform(40, 120)))


def dark(frame: Rendering, rng: np.random.Generator) -> Rendering:
    """A fifth to three fifths of the gray levels, with noise of 3."""
    return _with(frame, add_noise((frame.rgb * rng.uniform(0.2, 0.6)).astype(np.uint8), rng))


def blurred(frame: Rendering, rng: np.random.Generator) -> Rendering:
    """Out of focus: a Gaussian of 8 to 24 pixels at 640x480."""
    sigma = rng.uniform(8, 24) * frame.rgb.shape[1] / 640
    return _with(frame, add_noise(cv2.GaussianBlur(frame.rgb, (0, 0), sigma), rng))


def covered(frame: Rendering, rng: np.random.Generator) -> Rendering:
    """Two to five gray boxes lie over the picture, each somewhere on an object."""
    rgb, segmentation = frame.rgb.copy(), frame.segmentation.copy()
    height, width = segmentation.shape
    rows, cols = np.nonzero(segmentation >= 0)
    for _ in range(rng.integers(2, 6)):
        at = rng.integers(len(rows))
        top, left = rows[at] - int(rng.integers(height // 10)), cols[at] - int(rng.integers(width // 10))
        bottom, right = rows[at] + int(rng.integers(height // 10)), cols[at] + int(rng.integers(width // 10))
        box = np.s_[max(top, 0) : bottom, max(left, 0) : right]
        rgb[box] = rng.integers(40, 216)
        segmentation[box] = -1
    return _with(frame, add_noise(rgb, rng), segmentation)


def small(frame: Rendering, rng: np.random.Generator) -> Rendering:
    """The view at 50 to 85 % of its size, somewhere in a picture of one colour."""
    height, width = frame.segmentation.shape
    scale = rng.uniform(0.5, 0.85)
    size = int(width * scale), int(height * scale)
    top, left = int(rng.integers(height - size[1])), int(rng.integers(width - size[0]))
    rgb = np.full_like(frame.rgb, 0) + rng.integers(30, 226, 3).astype(np.uint8)
    segmentation = np.full_like(frame.segmentation, -1)
    box = np.s_[top : top + size[1], left : left + size[0]]
    rgb[box] = cv2.resize(frame.rgb, size, interpolation=cv2.INTER_AREA)
    segmentation[box] = cv2.resize(frame.segmentation, size, interpolation=cv2.INTER_NEAREST)
    return _with(frame, add_noise(rgb, rng), segmentation)


DISTURBANCES: dict[str, Callable[[Rendering, np.random.Generator], Rendering]] = {
    "plain": plain,
    "noisy": noisy,
    "dark": dark,
    "blurred": blurred,
    "covered": covered,
    "small": small,
}


def visible(
    frame: Rendering, names: list[tuple[str, str]], least: int = LEAST_PIXELS
) -> tuple[Rendering, list[tuple[str, str]]]:
    """The frame and its objects' names without those of which fewer than `least` pixels are to be seen.

    Object indices in the segmentation are numbered anew.
    """
    kept = [i for i in range(len(names)) if np.count_nonzero(frame.segmentation == i) >= least]
    renumbered = np.full(len(names) + 1, -1, frame.segmentation.dtype)  # the last entry is index -1's
    renumbered[kept] = np.arange(len(kept))
    return replace(frame, segmentation=renumbered[frame.segmentation]), [names[i] for i in kept]


def _with(frame: Rendering, rgb: np.ndarray, segmentation: np.ndarray | None = None) -> Rendering:
    """The frame with other pixels; its depth is not carried along."""
    segmentation = frame.segmentation if segmentation is None else segmentation
    return replace(frame, rgb=rgb, segmentation=segmentation, depth=np.full_like(frame.depth, np.nan))
