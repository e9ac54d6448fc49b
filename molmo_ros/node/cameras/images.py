"""sensor_msgs/Image to numpy: pictures by cv_bridge where it is installed, else from the message's fields alone.

Pictures become uint8 RGB; depth stays in its own unit as a view, so that only the pixels that are asked
for are ever converted. Both ways give the same pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from molmo_ros.node import installed_ros


class ImageMessageError(ValueError):
    """An Image message that cannot be read; the message says which field is wrong and what would be right."""


def _swap(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _eight_bit(pixels: np.ndarray) -> np.ndarray:
    """uint16 to uint8 so that 65535 becomes 255, rounded."""
    return cv2.convertScaleAbs(pixels, alpha=255 / 65535)


def _sixteen(then: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: then(_eight_bit(pixels))


def _sixteen_bayer(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: _eight_bit(cv2.cvtColor(pixels, code))


def _as_is(pixels: np.ndarray) -> np.ndarray:
    return pixels


_GRAY = _swap(cv2.COLOR_GRAY2RGB)
_BGR, _BGRA, _RGBA = _swap(cv2.COLOR_BGR2RGB), _swap(cv2.COLOR_BGRA2RGB), _swap(cv2.COLOR_RGBA2RGB)
# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first four.
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}

# encoding -> (dtype, channels, conversion to RGB of an array [h, w, channels] or [h, w])
_PICTURES: dict[str, tuple[type, int, Callable[[np.ndarray], np.ndarray]]] = {
    "rgb8": (np.uint8, 3, _as_is),
    "bgr8": (np.uint8, 3, _BGR),
    "8UC3": (np.uint8, 3, _BGR),  # no order is given; OpenCV's is what such drivers hold
    "rgba8": (np.uint8, 4, _RGBA),
    "bgra8": (np.uint8, 4, _BGRA),
    "8UC4": (np.uint8, 4, _BGRA),
    "mono8": (np.uint8, 1, _GRAY),
    "8UC1": (np.uint8, 1, _GRAY),
    "mono16": (np.uint16, 1, _sixteen(_GRAY)),
    "16UC1": (np.uint16, 1, _sixteen(_GRAY)),
    "rgb16": (np.uint16, 3, _sixteen(_as_is)),
    "bgr16": (np.uint16, 3, _sixteen(_BGR)),
    "uyvy": (np.uint8, 2, _swap(cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422": (np.uint8, 2, _swap(cv2.COLOR_YUV2RGB_UYVY)),
    "yuyv": (np.uint8, 2, _swap(cv2.COLOR_YUV2RGB_YUYV)),
    "yuv422_yuy2": (np.uint8, 2, _swap(cv2.COLOR_YUV2RGB_YUYV)),
    "nv12": (np.uint8, 1, _swap(cv2.COLOR_YUV2RGB_NV12)),
    "nv21": (np.uint8, 1, _swap(cv2.COLOR_YUV2RGB_NV21)),
    **{f"bayer_{name}8": (np.uint8, 1, _swap(code)) for name, code in _BAYER.items()},
    **{f"bayer_{name}16": (np.uint16, 1, _sixteen_bayer(code)) for name, code in _BAYER.items()},
}
_DEPTHS: dict[str, type] = {"16UC1": np.uint16, "mono16": np.uint16, "32FC1": np.float32}

PICTURE_ENCODINGS = tuple(_PICTURES)
DEPTH_ENCODINGS = tuple(_DEPTHS)


def decode_picture(message: Any) -> np.ndarray:
    """The picture of a sensor_msgs/Image.

    Args:
        message: Anything with the fields of sensor_msgs/Image.

    Returns:
        uint8 [h, w, 3] RGB, C-contiguous; a view of the message's data where it is rgb8 without padding.

    Raises:
        ImageMessageError: Unknown encoding, zero size, `step` smaller than a row, too little data.
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
    pixels = _view(message, dtype, channels, rows)
    if encoding == "rgb8":
        return np.ascontiguousarray(pixels)  # cv_bridge would copy
    bridged = _by_cv_bridge(message, pixels)
    return to_rgb(pixels, encoding) if bridged is None else bridged


def to_rgb(pixels: np.ndarray, encoding: str) -> np.ndarray:
    """Pixels of one of `PICTURE_ENCODINGS`, without row padding in the shape, as uint8 [h, w, 3] RGB."""
    native = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
    return np.ascontiguousarray(_PICTURES[encoding][2](native))


def _by_cv_bridge(message: Any, pixels: np.ndarray) -> np.ndarray | None:
    """The picture by the installed cv_bridge; None where there is none, or it cannot read this message."""
    library = installed_ros.module("cv_bridge")
    # It shears rows whose padding is no whole number of pixels, and swaps bytes by a method that numpy 2 lacks.
    if library is None or pixels.strides[0] % pixels[0, :1].nbytes or not pixels.dtype.isnative:
        return None
    try:
        return np.ascontiguousarray(library.CvBridge().imgmsg_to_cv2(message, "rgb8"))
    except (library.CvBridgeError, TypeError):  # an encoding it does not know, or a last row without padding
        return None


def depth_view(message: Any) -> np.ndarray:
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


def _view(message: Any, dtype: type, channels: int, rows: int) -> np.ndarray:
    """The message's bytes as an array, row padding skipped; no copy."""
    width, height, step = message.width, message.height, message.step
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
    axes = 2 if channels == 1 else 3
    shape, strides = (rows, width, channels), (step, channels * kind.itemsize, kind.itemsize)
    return np.ndarray(shape[:axes], kind, buffer=message.data, strides=strides[:axes])
