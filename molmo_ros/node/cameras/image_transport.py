# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pixels of whatever an image topic carries: sensor_msgs/Image or sensor_msgs/CompressedImage."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from molmo_ros.node.cameras.compressed_images import decode_compressed_depth, decode_compressed_picture
from molmo_ros.node.cameras.images import BitDepth, decode_picture, depth_view
from molmo_ros.pictures.bit_depth import used_bits

if TYPE_CHECKING:
    from molmo_ros.node.records.frame import PictureMessage


def picture_of(
    message: PictureMessage,
    bits: BitDepth = used_bits,
    turned: Callable[[int], None] = lambda orientation: None,
) -> np.ndarray:
    """The picture, uint8 [h, w, 3] RGB; a view of the message's data where that is possible.

    Args:
        message: The sensor_msgs/Image or sensor_msgs/CompressedImage.
        bits: Called with the samples of a 16-bit picture, of which cameras may use 8 to 16 bits.
        turned: Called with an EXIF orientation that is not 1, and is not applied.

    Raises:
        ImageMessageError: The message cannot be read.
    """
    if _is_compressed(message):
        return decode_compressed_picture(message, bits, turned)
    return decode_picture(message, bits)


def depth_of(message: PictureMessage) -> np.ndarray:
    """The depth, [h, w] uint16 [mm] (0 invalid) or floating [m] (NaN invalid); see `molmo_ros.geometry.metres`.

    Raises:
        ImageMessageError: The message cannot be read.
    """
    return decode_compressed_depth(message) if _is_compressed(message) else depth_view(message)


def _is_compressed(message: PictureMessage) -> bool:
    return hasattr(message, "format")
