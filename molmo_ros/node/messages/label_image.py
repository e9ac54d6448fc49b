# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which pixel of the picture is of which object, as an image."""

from __future__ import annotations

import array
import sys

import numpy as np
from molmo_msgs.msg import ObjectPointArray
from sensor_msgs.msg import Image

from molmo_ros.node.records.found_objects import FoundObjects


def label_image(found: FoundObjects) -> np.ndarray:
    """uint16 [h, w]: the number of the point in the array, from 1, whose object a pixel is of; else 0."""
    if found.scene is not None:
        return found.scene.labels()
    return np.zeros((found.array.image_height, found.array.image_width), np.uint16)


def label_image_message(labels: np.ndarray, points: ObjectPointArray) -> Image:
    """Labels, uint16 [h, w], as a mono16 message with the header of the picture, bit for bit."""
    height, width = labels.shape
    return Image(
        header=points.header,
        height=height,
        width=width,
        encoding="mono16",
        is_bigendian=int(sys.byteorder == "big"),
        step=2 * width,
        data=array.array("B", np.ascontiguousarray(labels).tobytes()),
    )
