# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""sensor_msgs/CompressedImage to numpy, as image_transport's plugins `compressed` and `compressedDepth` write it.

Pixels stay the sensor's: an orientation in EXIF data is not applied, because calibration and depth do not follow it.
(image_transport's own subscriber decodes with IMREAD_UNCHANGED, which does not apply it either.) What a message claims
is held against its bytes before memory is spent on it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from molmo_ros.node.cameras.images import (
    DEPTH_ENCODINGS,
    MAX_PIXELS,
    PICTURE_ENCODINGS,
    BitDepth,
    ImageMessageError,
    to_rgb,
)
from molmo_ros.node.cameras.rvl import RvlError, decode_rvl
from molmo_ros.pictures.bit_depth import used_bits
from molmo_ros.pictures.coded_picture import PictureError
from molmo_ros.pictures.decode import Bounds, decode, look_through

if TYPE_CHECKING:
    from sensor_msgs.msg import CompressedImage

BOUNDS = Bounds(MAX_PIXELS, 1 << 30)
"""What a message may take, whatever it holds: 100 million pixels, and 1 GiB besides itself."""

# Before the coded depth: an enumeration (int32) and the two float32 of the inverse depth's quantisation.
_DEPTH_HEADER = struct.Struct("<i2f")
_DEPTH_CODECS = ("compressedDepth png", "compressedDepth rvl", "png compressed", "tiff compressed")


def decode_compressed_picture(
    message: CompressedImage,
    bits: BitDepth = used_bits,
    turned: Callable[[int], None] = lambda orientation: None,
) -> np.ndarray:
    """The picture of a sensor_msgs/CompressedImage with JPEG, PNG, WebP or TIFF data.

    `format` may be any that drivers use ("jpeg", "png", "", "bgr8; jpeg compressed bgr8", ...): the data say what
    they are, and of `format` only a Bayer pattern and a reversed colour order ("compressed rgb8") matter.

    Args:
        message: CompressedImagething with the fields of sensor_msgs/CompressedImage.
        bits: Called with the samples of a 16-bit picture, of which cameras may use 8 to 16 bits.
        turned: Called with an EXIF orientation that is not 1, and is not applied.

    Returns:
        uint8 [h, w, 3] RGB, C-contiguous.

    Raises:
        ImageMessageError: Empty, truncated or damaged data, of another kind, beyond `BOUNDS`.
    """
    label, _, codec = (part.strip() for part in message.format.partition(";"))
    if "compressedDepth" in codec:
        raise ImageMessageError(
            f"{message.format[:60]!r} is a compressed depth image, not a picture: is this the depth topic?"
        )
    # Gray stays gray, for Bayer patterns.
    pixels = _decode(bytes(message.data), message.format, turned)
    if pixels.dtype == np.float32:
        raise ImageMessageError(
            f"{message.format[:60]!r} holds floating numbers, as depth does: is this the depth topic?"
        )
    depth = 8 * pixels.itemsize
    if pixels.ndim == 3:
        # OpenCV hands out BGR. Old publishers gave it RGB to code, so that here RGB comes back.
        order = "rgb" if "compressed rgb" in codec else "bgr"
        return to_rgb(pixels, f"{order}{depth}", bits)
    # As PNG a Bayer image is sent as it is; for JPEG it was made gray before ("bayer_rggb8; jpeg compressed mono8").
    mosaic = f"{label.rstrip('0123456789')}{depth}"
    is_mosaic = mosaic.startswith("bayer_") and mosaic in PICTURE_ENCODINGS and "compressed mono" not in codec
    if is_mosaic and min(pixels.shape) < 2:
        raise ImageMessageError(f"{label} needs at least 2x2 px, got {pixels.shape[1]}x{pixels.shape[0]}")
    return to_rgb(pixels, mosaic if is_mosaic else f"mono{depth}", bits)


def decode_compressed_depth(message: CompressedImage) -> np.ndarray:
    """The depth of a sensor_msgs/CompressedImage (REP-118).

    `format` is the depth encoding, then how it is coded: "16UC1; compressedDepth png", "32FC1; compressedDepth rvl",
    "16UC1; png compressed", ...; without the second part it is compressedDepth with PNG. 32FC1 travels as inverse
    depth in 16 bits: value = a / depth + b, 0 where there is none, with a and b in the message.

    Returns:
        [h, w], uint16 in millimetres (0 invalid) or float32 in metres (NaN invalid).

    Raises:
        ImageMessageError: Unknown format; empty, truncated or damaged data; more than `MAX_PIXELS`.
    """
    encoding, _, codec = (part.strip() for part in message.format.partition(";"))
    if codec in ("", "compressedDepth"):
        codec = "compressedDepth png"
    if encoding not in DEPTH_ENCODINGS or codec not in _DEPTH_CODECS:
        raise ImageMessageError(
            f"unknown compressed depth format {message.format[:60]!r}; valid: one of {', '.join(DEPTH_ENCODINGS)}, "
            f"then ';' and one of {', '.join(_DEPTH_CODECS)}"
        )
    data = bytes(message.data)
    if codec in ("png compressed", "tiff compressed"):
        if encoding == "32FC1" and codec == "png compressed":
            raise ImageMessageError("PNG holds no 32FC1: use the transport compressedDepth")
        return _one_channel(_decode(data, message.format), np.float32 if encoding == "32FC1" else np.uint16)
    if len(data) <= _DEPTH_HEADER.size:
        raise ImageMessageError(
            f"compressed depth starts with {_DEPTH_HEADER.size} bytes of its own, data has {len(data)} bytes"
        )
    _, a, b = _DEPTH_HEADER.unpack_from(data)
    data = data[_DEPTH_HEADER.size :]
    if codec == "compressedDepth rvl":
        values = _decode_rvl(data)
    else:
        values = _one_channel(_decode(data, message.format), np.uint16)
    return _from_inverse(values, a, b) if encoding == "32FC1" else values


def _from_inverse(values: np.ndarray, a: float, b: float) -> np.ndarray:
    """Quantised inverse depth to float32 [m]."""
    if not (np.isfinite(a) and np.isfinite(b) and a > 0):
        raise ImageMessageError(
            f"the quantisation of the inverse depth is a={a:g}, b={b:g}; a must be positive"
        )
    depth = values.astype(np.float32)
    depth -= np.float32(b)
    with np.errstate(divide="ignore", over="ignore"):
        np.divide(np.float32(a), depth, out=depth)
    depth[values == 0] = np.nan
    depth[~np.isfinite(depth)] = np.nan
    return depth


def _one_channel(pixels: np.ndarray, kind: type) -> np.ndarray:
    if pixels.ndim != 2 or pixels.dtype != kind:
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        raise ImageMessageError(
            f"depth must be coded as one channel of {8 * np.dtype(kind).itemsize} bits, "
            f"the data have {channels} of {8 * pixels.itemsize}"
        )
    return pixels


def _decode_rvl(data: bytes) -> np.ndarray:
    """RVL after its own header: columns and rows, uint32 each."""
    if len(data) < 8:
        raise ImageMessageError(f"RVL starts with 8 bytes of size, data has {len(data)} bytes")
    width, height = struct.unpack_from("<2I", data)
    if not 0 < width * height <= MAX_PIXELS:
        raise ImageMessageError(
            f"the compressed image claims {width}x{height} px; valid: 1 to {MAX_PIXELS} px"
        )
    try:
        return decode_rvl(data[8:], width * height).reshape(height, width)
    except RvlError as error:
        raise ImageMessageError(str(error)) from error


def _decode(data: bytes, name: str, turned: Callable[[int], None] | None = None) -> np.ndarray:
    """The pixels as stored, [h, w] gray or [h, w, 3] BGR; `name` is the message's `format`."""
    try:
        picture = look_through(data)
        pixels = decode(picture, BOUNDS)
    except PictureError as error:
        raise ImageMessageError(f"format {name[:60]!r}: {error}") from error
    if turned is not None and picture.orientation != 1:
        turned(picture.orientation)
    return pixels
