# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""sensor_msgs/Image to numpy: pictures by cv_bridge where it is installed, else from the message's fields alone.

Pictures become uint8 RGB; depth stays in its own unit as a view, so that only the pixels that are asked
for are ever converted. Both ways give the same pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from molmo_ros.node import installed_ros
from molmo_ros.pictures.bit_depth import to_eight_bits, used_bits

if TYPE_CHECKING:
    from sensor_msgs.msg import Image

MAX_PIXELS = 100_000_000
"""A message that has, or claims, more [px] is refused before it is decoded."""
BitDepth = Callable[[np.ndarray], int]
"""How many bits of a picture's uint16 samples are used, 8 to 16."""


class ImageMessageError(ValueError):
    """An Image message that cannot be read; the message says which field is wrong and what would be right."""


def _swap(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _as_is(pixels: np.ndarray) -> np.ndarray:
    return pixels


def _nv24(pixels: np.ndarray) -> np.ndarray:
    """[3h, w]: brightness, and below it both colours of each pixel. As UYVY of twice the width, which OpenCV reads."""
    height = len(pixels) // 3
    chroma = pixels[height:].reshape(height, -1, 2)
    pairs = np.dstack([chroma[..., 0], pixels[:height], chroma[..., 1], pixels[:height]])
    return cv2.cvtColor(pairs.reshape(height, -1, 2), cv2.COLOR_YUV2RGB_UYVY)[:, ::2]


_GRAY = _swap(cv2.COLOR_GRAY2RGB)
_BGR, _BGRA, _RGBA = _swap(cv2.COLOR_BGR2RGB), _swap(cv2.COLOR_BGRA2RGB), _swap(cv2.COLOR_RGBA2RGB)
# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first four.
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}

# encoding -> (dtype, channels, conversion to RGB of an array [h, w, channels] or [h, w] of uint8)
_PICTURES: dict[str, tuple[type, int, Callable[[np.ndarray], np.ndarray]]] = {
    "rgb8": (np.uint8, 3, _as_is),
    "bgr8": (np.uint8, 3, _BGR),
    "8UC3": (np.uint8, 3, _BGR),  # no order is given; OpenCV's is what such drivers hold
    "rgba8": (np.uint8, 4, _RGBA),
    "bgra8": (np.uint8, 4, _BGRA),
    "8UC4": (np.uint8, 4, _BGRA),
    "mono8": (np.uint8, 1, _GRAY),
    "8UC1": (np.uint8, 1, _GRAY),
    "mono16": (np.uint16, 1, _GRAY),
    "16UC1": (np.uint16, 1, _GRAY),
    "rgb16": (np.uint16, 3, _as_is),
    "bgr16": (np.uint16, 3, _BGR),
    "16UC3": (np.uint16, 3, _BGR),
    "rgba16": (np.uint16, 4, _as_is),  # transparency is gone when 16 bits have become 8
    "bgra16": (np.uint16, 4, _BGR),
    "16UC4": (np.uint16, 4, _BGR),
    "uyvy": (np.uint8, 2, _swap(cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422": (np.uint8, 2, _swap(cv2.COLOR_YUV2RGB_UYVY)),
    "yuyv": (np.uint8, 2, _swap(cv2.COLOR_YUV2RGB_YUYV)),
    "yuv422_yuy2": (np.uint8, 2, _swap(cv2.COLOR_YUV2RGB_YUYV)),
    "yvyu": (np.uint8, 2, _swap(cv2.COLOR_YUV2RGB_YVYU)),
    "nv12": (np.uint8, 1, _swap(cv2.COLOR_YUV2RGB_NV12)),
    "nv21": (np.uint8, 1, _swap(cv2.COLOR_YUV2RGB_NV21)),
    "nv24": (np.uint8, 1, _nv24),
    **{f"bayer_{name}8": (np.uint8, 1, _swap(code)) for name, code in _BAYER.items()},
    **{f"bayer_{name}16": (np.uint16, 1, _swap(code)) for name, code in _BAYER.items()},
}
_DEPTHS: dict[str, type] = {"16UC1": np.uint16, "mono16": np.uint16, "32FC1": np.float32}

PICTURE_ENCODINGS = tuple(_PICTURES)
DEPTH_ENCODINGS = tuple(_DEPTHS)


def decode_picture(message: Image, bits: BitDepth = used_bits) -> np.ndarray:
    """The picture of a sensor_msgs/Image.

    Args:
        message: Imagething with the fields of sensor_msgs/Image.
        bits: Called with the samples of a 16-bit picture, of which cameras may use 8 to 16 bits.

    Returns:
        uint8 [h, w, 3] RGB, C-contiguous; a view of the message's data where it is rgb8 without padding.

    Raises:
        ImageMessageError: Unknown encoding, zero size, more than `MAX_PIXELS`, `step` smaller than a row, too little
            data.
    """
    encoding = message.encoding
    if encoding not in _PICTURES:
        hint = " (a depth encoding: is this the depth topic?)" if encoding in _DEPTHS else ""
        raise ImageMessageError(
            f"unknown image encoding {encoding[:40]!r}{hint}; valid: {', '.join(PICTURE_ENCODINGS)}"
        )
    dtype, channels, _ = _PICTURES[encoding]
    rows = message.height
    if encoding in ("nv12", "nv21"):
        if message.height % 2 or message.width % 2:
            raise ImageMessageError(f"{encoding} needs an even size, got {message.width}x{message.height}")
        rows = message.height * 3 // 2  # the colour plane lies below the brightness plane
    if channels == 2 and message.width % 2:
        raise ImageMessageError(f"{encoding} needs an even width, got {message.width}x{message.height}")
    if encoding.startswith("bayer") and min(message.width, message.height) < 2:
        raise ImageMessageError(f"{encoding} needs at least 2x2 px, got {message.width}x{message.height}")
    if encoding == "nv24":
        return to_rgb(_nv24_planes(message), encoding)
    pixels = _view(message, dtype, channels, rows)
    if encoding == "rgb8":
        return np.ascontiguousarray(pixels)  # cv_bridge would copy
    bridged = _by_cv_bridge(message, pixels)
    return to_rgb(pixels, encoding, bits) if bridged is None else bridged


def to_rgb(pixels: np.ndarray, encoding: str, bits: BitDepth = used_bits) -> np.ndarray:
    """Pixels of one of `PICTURE_ENCODINGS`, without row padding in the shape, as uint8 [h, w, 3] RGB."""
    if pixels.dtype.itemsize == 2:
        opaque = pixels[..., :3] if pixels.ndim == 3 else pixels
        samples = np.ascontiguousarray(opaque, pixels.dtype.newbyteorder("="))
        pixels = to_eight_bits(samples, bits(samples))
    return np.ascontiguousarray(_PICTURES[encoding][2](np.ascontiguousarray(pixels)))


def _nv24_planes(message: Image) -> np.ndarray:
    """The planes of an NV24 image one below the other, uint8 [3h, w]; a row of the second has twice the bytes."""
    width, height = message.width, message.height
    tight = (
        len(message.data) == 3 * width * height
    )  # of `step` there are two readings: of a plane, of the whole
    step = width if tight else message.step
    luma = _view(message, np.uint8, 1, height, step)
    needed = 3 * step * height - 2 * (step - width)
    if len(message.data) < needed:
        raise ImageMessageError(
            f"data has {len(message.data)} bytes, {width}x{height} px in nv24 with step {step} needs {needed}"
        )
    strides = (2 * step, 1)
    chroma = np.ndarray((height, 2 * width), np.uint8, message.data, step * height, strides)
    return np.vstack([luma, chroma.reshape(2 * height, width)])


def _by_cv_bridge(message: Image, pixels: np.ndarray) -> np.ndarray | None:
    """The picture by the installed cv_bridge; None where there is none, or it cannot read this message."""
    library = installed_ros.module("cv_bridge")
    # It shears rows whose padding is no whole number of pixels, and takes all 16 bits of a sample to be used.
    if library is None or pixels.strides[0] % pixels[0, :1].nbytes or pixels.itemsize > 1:
        return None
    try:
        return np.ascontiguousarray(library.CvBridge().imgmsg_to_cv2(message, "rgb8"))
    except (library.CvBridgeError, TypeError):  # an encoding it does not know, or a last row without padding
        return None


def depth_view(message: Image) -> np.ndarray:
    """The depth of a sensor_msgs/Image as a view, not converted (REP-118).

    Returns:
        [h, w], uint16 in millimetres (0 invalid) or float32 in metres (NaN invalid), in the message's own
        byte order; `molmo_ros.geometry.metres` converts what is used of it.

    Raises:
        ImageMessageError: Not a depth encoding, zero size, `step` smaller than a row, too little data.
    """
    if message.encoding not in _DEPTHS:
        raise ImageMessageError(
            f"unknown depth encoding {message.encoding[:40]!r}; valid: {', '.join(DEPTH_ENCODINGS)}"
        )
    return _view(message, _DEPTHS[message.encoding], 1, message.height)


def _view(message: Image, dtype: type, channels: int, rows: int, step: int = 0) -> np.ndarray:
    """The message's bytes as an array, row padding skipped; no copy. `step` 0 means the message's own."""
    width, height, step = message.width, message.height, step or message.step
    if width < 1 or height < 1:
        raise ImageMessageError(f"the image is empty: {width}x{height}")
    kind = np.dtype(dtype)
    row_bytes = width * channels * kind.itemsize
    if step < row_bytes:
        raise ImageMessageError(
            f"step is {step}, a row of {width} px in {message.encoding} takes {row_bytes} bytes"
        )
    needed = step * (rows - 1) + row_bytes  # the last row may come without its padding
    if len(message.data) < needed:
        raise ImageMessageError(
            f"data has {len(message.data)} bytes, {width}x{height} px in {message.encoding} "
            f"with step {step} needs {needed}"
        )
    if kind.itemsize > 1 and bool(message.is_bigendian) != (sys.byteorder == "big"):
        kind = kind.newbyteorder()
    if width * height > MAX_PIXELS:
        raise ImageMessageError(f"the image has {width}x{height} px; valid: 1 to {MAX_PIXELS} px")
    axes = 2 if channels == 1 else 3
    shape, strides = (rows, width, channels), (step, channels * kind.itemsize, kind.itemsize)
    return np.ndarray(shape[:axes], kind, buffer=message.data, strides=strides[:axes])
