# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A camera frame as the tracker sees it: grey with coarse colours, and no wider than following points needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

MAX_WIDTH = 640
"""Wider frames are scaled down to this [px]; finer pixels cost time and do not make tracks last longer."""

CHROMA_WIDTH = 160
"""Colours are kept this coarse [px]: they tell surfaces apart, and nothing is measured in them."""
SMOOTHING = 1.2
"""Standard deviation of the blur against noise [px]."""


@dataclass(frozen=True)
class GrayFrame:
    """One frame.

    Attributes:
        stamp: When it was taken [ns].
        pixels: uint8 [h, w], scaled.
        size: Width and height of the original image [px].
        chroma: uint8 [h', w', 2] Cr and Cb (ITU-R BT.601), scaled further; None of a grey image.
    """

    stamp: int
    pixels: np.ndarray
    size: tuple[int, int]
    chroma: np.ndarray | None = None

    @classmethod
    def from_image(cls, stamp: int, image: np.ndarray, max_width: int = MAX_WIDTH) -> GrayFrame:
        """A copy of an image, grey and at most `max_width` wide.

        Args:
            stamp: When it was taken [ns].
            image: uint8 [h, w, 3] RGB or [h, w] grey.
            max_width: [px].

        Raises:
            ValueError: The image is empty, of another shape or not uint8.
        """
        is_picture = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
        if image.dtype != np.uint8 or image.size == 0 or not is_picture:
            raise ValueError(
                f"image is {image.dtype} {list(image.shape)}, must be uint8 [h, w] or [h, w, 3], not empty"
            )
        height, width = image.shape[:2]
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image.copy()
        if width > max_width:
            scaled = (max_width, max(1, round(height * max_width / width)))
            gray = cv2.resize(gray, scaled, interpolation=cv2.INTER_AREA)
        return cls(stamp, gray, (width, height), _chroma(image) if image.ndim == 3 else None)

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept of the image."""
        return self.pixels.nbytes + (0 if self.chroma is None else self.chroma.nbytes)

    def chroma_at(self, places: np.ndarray) -> np.ndarray:
        """[n, 2] Cr and Cb at places [n, 2] of `pixels` (0 at the first's centre); 128 throughout in a grey image."""
        if self.chroma is None or not len(places):
            return np.full((len(places), 2), 128.0)
        ratio = np.array(self.chroma.shape[1::-1]) / self.pixels.shape[::-1]
        x, y = ((places + 0.5) * ratio - 0.5).astype(np.float32).T[:, :, None]
        return cv2.remap(self.chroma, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0].astype(
            float
        )

    @cached_property
    def smooth(self) -> np.ndarray:
        """uint8 [h, w]: `pixels` with less noise, for comparing surfaces."""
        return cv2.GaussianBlur(self.pixels, (7, 7), SMOOTHING)

    @property
    def scale(self) -> np.ndarray:
        """[2] scaled pixels per original pixel, in x and y."""
        height, width = self.pixels.shape
        return np.array([width / self.size[0], height / self.size[1]])

    def to_index(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels [n, 2] of the original image (0 at its left/top edge) as places in `pixels` (0 at the first's
        centre)."""
        return pixels * self.scale - 0.5

    def to_original(self, index: np.ndarray) -> np.ndarray:
        """The inverse of `to_index`."""
        return (index + 0.5) / self.scale


def _chroma(image: np.ndarray) -> np.ndarray:
    """uint8 [h', w', 2] Cr and Cb of an RGB image [h, w, 3], at most `CHROMA_WIDTH` wide."""
    height, width = image.shape[:2]
    if width > CHROMA_WIDTH:
        scaled = (CHROMA_WIDTH, max(1, round(height * CHROMA_WIDTH / width)))
        image = cv2.resize(image, scaled, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[:, :, 1:])
