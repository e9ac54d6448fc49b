# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The image with an answer's points and objects drawn into it, raw and as JPEG, of the image's own size and header.

Nothing is added around the image: a pixel stays where camera_info says it is.
"""

from __future__ import annotations

import array

import cv2
import numpy as np
from molmo_msgs.msg import ObjectPoint, ObjectPointArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from molmo_ros.drawing import draw_points, draw_regions, draw_text_line
from molmo_ros.molmo.answer import Point

JPEG_QUALITY = 90
JPEG_MAX_SIDE = 65500
"""Most that libjpeg writes in a direction [px]."""


def annotated(pixels: np.ndarray, outcome: ObjectPointArray, labels: np.ndarray | None = None) -> np.ndarray:
    """A copy of the image with every point, and one line of text at the top: query and status.

    Args:
        pixels: uint8 [h, w, 3] RGB, left as it is.
        outcome: Its points are in pixels of this image.
        labels: uint16 [h, w], which pixel is of which object, from 1; drawn below the points.

    Returns:
        uint8 [h, w, 3] RGB.
    """
    picture = np.ascontiguousarray(pixels).copy()
    if labels is not None and labels.shape == picture.shape[:2]:
        draw_regions(picture, labels)
    points = [
        Point(point.pixel.x, point.pixel.y, _words(point), point.track_id or number)
        for number, point in enumerate(outcome.points, start=1)
    ]
    said = outcome.reason or ("" if points else outcome.text)
    draw_text_line(picture, f"{outcome.query}: {outcome.status}" + (f" ({said})" if said else ""))
    draw_points(picture, points)  # over the text: points matter more
    return picture


def image_message(picture: np.ndarray, header: Header) -> Image:
    """The picture, uint8 [h, w, 3] RGB, as an rgb8 message; `header` is that of the image it was drawn on."""
    height, width = picture.shape[:2]
    return Image(
        header=header,
        height=height,
        width=width,
        encoding="rgb8",
        step=3 * width,
        data=array.array("B", picture.tobytes()),
    )


def compressed_message(picture: np.ndarray, header: Header) -> CompressedImage:
    """The same as a JPEG; `format` is what image_transport's compressed plugin writes for an rgb8 image.

    Raises:
        ValueError: More than `JPEG_MAX_SIDE` px in a direction.
    """
    height, width = picture.shape[:2]
    if max(height, width) > JPEG_MAX_SIDE:
        raise ValueError(f"a JPEG has at most {JPEG_MAX_SIDE} px per side, the picture is {width}x{height}")
    _, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    return CompressedImage(
        header=header, format="rgb8; jpeg compressed bgr8", data=array.array("B", jpeg.tobytes())
    )


def _words(point: ObjectPoint) -> str:
    return f"{point.label} {point.score:.2f}" if point.has_score else point.label
