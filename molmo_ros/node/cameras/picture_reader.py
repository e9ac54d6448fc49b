# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads one camera's pictures: what its frames have in common, and what there is to say about them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from molmo_ros.node.cameras.image_transport import picture_of
from molmo_ros.pictures.bit_depth import is_black, used_bits

if TYPE_CHECKING:
    from molmo_ros.node.records.frame import PictureMessage


@dataclass(frozen=True)
class ReadPicture:
    """A picture as the model and the tracker see it.

    Attributes:
        pixels: uint8 [h, w, 3] RGB.
        note: What was assumed about it, and whether it is black; mostly empty.
        news: What was assumed about it and not about the frame before; for the log.
    """

    pixels: np.ndarray
    note: str
    news: str


class PictureReader:
    """Reads the pictures of one camera, or of one request. Any thread may ask.

    Of 16-bit samples as many bits are read as the largest value so far takes: the brightness of a camera's pictures
    changes only when a larger value comes, at most eight times, and `news` says so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bits = 0
        self._told = ""

    def read(self, message: PictureMessage, bits: int = 0) -> ReadPicture:
        """The picture of a sensor_msgs/Image or sensor_msgs/CompressedImage.

        Args:
            message: The message.
            bits: How many bits of 16-bit samples are used, 8 to 16; 0 means as many as the values so far take.

        Raises:
            ImageMessageError: The message cannot be read.
        """
        assumed: list[str] = []

        def bits_of(samples: np.ndarray) -> int:
            if bits:
                return bits
            with self._lock:
                self._bits = max(self._bits, used_bits(samples))
                used = self._bits
            if used < 16:
                assumed.append(
                    f"the 16-bit values are read as {used} bits, which is what they have used so far (the parameter "
                    "image_bits says how many the camera has)"
                )
            return used

        def turned(orientation: int) -> None:
            assumed.append(
                f"the picture's EXIF orientation {orientation} is not applied: points are in pixels of the sensor, "
                "as depth and calibration are"
            )

        pixels = picture_of(message, bits_of, turned)
        said = "; ".join(assumed)
        with self._lock:
            news, self._told = ("" if said == self._told else said), said
        if is_black(pixels):
            assumed.insert(0, _black_note(pixels, bits))
        return ReadPicture(pixels, "; ".join(assumed), news)


def _black_note(pixels: np.ndarray, bits: int) -> str:
    cure = f", is image_bits = {bits} right?" if bits else ""
    return f"the picture is nearly black: its largest value is {int(pixels.max())} of 255{cure}"
