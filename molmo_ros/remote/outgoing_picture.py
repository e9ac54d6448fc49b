# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures as they go over the network: coded once, for any number of questions about them."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.families.wording import About

LOSSLESS = 0
"""Instead of a quality of JPEG: PNG, the very pixels."""
LONGEST_SIDE = 65500
"""[px]; JPEG ends there."""


@dataclass
class OutgoingPicture:
    """One picture, or several of one prompt, ready to be asked about.

    Attributes:
        sizes: (height, width) of each [px].
        urls: A data URL of each.
        view: What they are a view of, such as a camera's name.
        timing_ms: What coding them took [ms].
        pixels: The pictures themselves, uint8 RGB [h, w, 3]: another model may have to answer.
    """

    sizes: list[tuple[int, int]]
    urls: tuple[bytes, ...]
    view: str = ""
    timing_ms: dict[str, float] = field(default_factory=dict)
    pixels: tuple[np.ndarray, ...] = field(default=(), repr=False)

    @property
    def about(self) -> About:
        """What a prompt with these holds."""
        return "images" if len(self.sizes) > 1 else "image"


def outgoing_picture(
    pictures: Sequence[np.ndarray], quality: int = LOSSLESS, view: str = ""
) -> OutgoingPicture:
    """Codes pictures.

    Args:
        pictures: Each uint8 RGB [h, w, 3].
        quality: Of JPEG, 1 to 100; `LOSSLESS` for PNG.
        view: See `OutgoingPicture`.

    Raises:
        ImageError: A picture is not what it should be.
    """
    started = time.perf_counter()
    urls = tuple(_url(_checked(one), quality) for one in pictures)
    sizes = [(one.shape[0], one.shape[1]) for one in pictures]
    timing = {"preprocess": (time.perf_counter() - started) * 1e3, "vision": 0.0}
    return OutgoingPicture(sizes, urls, view, timing, tuple(pictures))


def _checked(picture: np.ndarray) -> np.ndarray:
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3:
        found = (
            f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        )
        raise ImageError(f"the image is {found}; it must be a uint8 array [height, width, 3] in RGB order")
    height, width, channels = picture.shape
    if channels != 3 or min(height, width) < 1:
        raise ImageError(
            f"the image has the shape {picture.shape}; it must be [height, width, 3] with pixels"
        )
    if max(height, width) > LONGEST_SIDE:
        raise ImageError(
            f"the image is {width} x {height} px; more than {LONGEST_SIDE} px a side cannot be sent"
        )
    return picture


def _url(picture: np.ndarray, quality: int) -> bytes:
    # Level 1: a third of the time of PNG's usual level, for files that are little larger.
    kind, suffix, settings = ("png", ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if quality != LOSSLESS:
        # Colours as finely as brightness: small things are told apart by them.
        kind, suffix = "jpeg", ".jpg"
        settings = [
            *(cv2.IMWRITE_JPEG_QUALITY, quality),
            *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        ]
    done, coded = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), settings)
    if not done:
        raise ImageError(f"the image of {picture.shape[1]} x {picture.shape[0]} px cannot be coded as {kind}")
    return b"data:image/%s;base64,%s" % (kind.encode(), base64.b64encode(coded.data))
