"""Pixels of whatever an image topic carries: sensor_msgs/Image or sensor_msgs/CompressedImage."""

from __future__ import annotations

from typing import Any

import numpy as np

from molmo_ros.node.cameras.compressed_images import decode_compressed_depth, decode_compressed_picture
from molmo_ros.node.cameras.images import decode_picture, depth_view


def picture_of(message: Any) -> np.ndarray:
    """The picture, uint8 [h, w, 3] RGB; a view of the message's data where that is possible.

    Raises:
        ImageMessageError: The message cannot be read.
    """
    return decode_compressed_picture(message) if _is_compressed(message) else decode_picture(message)


def depth_of(message: Any) -> np.ndarray:
    """The depth, [h, w] uint16 [mm] (0 invalid) or floating [m] (NaN invalid); see `molmo_ros.geometry.metres`.

    Raises:
        ImageMessageError: The message cannot be read.
    """
    return decode_compressed_depth(message) if _is_compressed(message) else depth_view(message)


def _is_compressed(message: Any) -> bool:
    return hasattr(message, "format")
