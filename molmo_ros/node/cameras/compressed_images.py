"""sensor_msgs/CompressedImage to numpy, as image_transport's plugins `compressed` and `compressedDepth` write it.

Pixels stay the sensor's: an orientation in a JPEG's EXIF data is not applied, because calibration and depth do not
follow it. What a message claims is checked before memory is spent on it.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np

from molmo_ros.node.cameras.images import DEPTH_ENCODINGS, PICTURE_ENCODINGS, ImageMessageError, to_rgb
from molmo_ros.node.cameras.rvl import RvlError, decode_rvl

MAX_PIXELS = 100_000_000
"""A message that claims more [px] is refused before it is decoded."""

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# Before the coded depth: an enumeration (int32) and the two float32 of the inverse depth's quantisation.
_DEPTH_HEADER = struct.Struct("<i2f")
_DEPTH_CODECS = ("compressedDepth png", "compressedDepth rvl", "png compressed")


def decode_compressed_picture(message: Any) -> np.ndarray:
    """The picture of a sensor_msgs/CompressedImage with JPEG or PNG data.

    `format` may be any that drivers use ("jpeg", "png", "", "bgr8; jpeg compressed bgr8", ...): the data say what
    they are, and of `format` only a Bayer pattern and a reversed colour order ("compressed rgb8") matter.

    Returns:
        uint8 [h, w, 3] RGB, C-contiguous.

    Raises:
        ImageMessageError: Empty, truncated or damaged data, neither JPEG nor PNG, more than `MAX_PIXELS`.
    """
    data = bytes(message.data)
    label, _, codec = (part.strip() for part in message.format.partition(";"))
    if "compressedDepth" in codec:
        raise ImageMessageError(
            f"{message.format[:60]!r} is a compressed depth image, not a picture: is this the depth topic?"
        )
    # Gray stays gray, for Bayer patterns; transparency is dropped.
    pixels = _decode(
        data, message.format, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    )
    bits = 8 * pixels.itemsize
    if pixels.ndim == 3:
        # OpenCV hands out BGR. Old publishers gave it RGB to code, so that here RGB comes back.
        order = "rgb" if "compressed rgb" in codec else "bgr"
        return to_rgb(pixels, f"{order}{bits}")
    # As PNG a Bayer image is sent as it is; for JPEG it was made gray before ("bayer_rggb8; jpeg compressed mono8").
    mosaic = f"{label.rstrip('0123456789')}{bits}"
    is_mosaic = mosaic.startswith("bayer_") and mosaic in PICTURE_ENCODINGS and "compressed mono" not in codec
    if is_mosaic and min(pixels.shape) < 2:
        raise ImageMessageError(f"{label} needs at least 2x2 px, got {pixels.shape[1]}x{pixels.shape[0]}")
    return to_rgb(pixels, mosaic if is_mosaic else f"mono{bits}")


def decode_compressed_depth(message: Any) -> np.ndarray:
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
    if codec == "png compressed":
        if encoding == "32FC1":
            raise ImageMessageError("PNG holds no 32FC1: use the transport compressedDepth")
        return _one_channel(_decode(data, message.format, cv2.IMREAD_UNCHANGED))
    if len(data) <= _DEPTH_HEADER.size:
        raise ImageMessageError(
            f"compressed depth starts with {_DEPTH_HEADER.size} bytes of its own, data has {len(data)} bytes"
        )
    _, a, b = _DEPTH_HEADER.unpack_from(data)
    data = data[_DEPTH_HEADER.size :]
    if codec == "compressedDepth rvl":
        values = _decode_rvl(data)
    else:
        values = _one_channel(_decode(data, message.format, cv2.IMREAD_UNCHANGED))
    return _from_inverse(values, a, b) if encoding == "32FC1" else values


def _from_inverse(values: np.ndarray, a: float, b: float) -> np.ndarray:
    """Quantised inverse depth to float32 [m]."""
    if not (np.isfinite(a) and np.isfinite(b) and a > 0):
        raise ImageMessageError(
            f"the quantisation of the inverse depth is a={a:g}, b={b:g}; a must be positive"
        )
    with np.errstate(divide="ignore", over="ignore"):
        depth = np.float32(a) / (values.astype(np.float32) - np.float32(b))
    depth[(values == 0) | ~np.isfinite(depth)] = np.nan
    return depth


def _one_channel(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim != 2 or pixels.dtype != np.uint16:
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        raise ImageMessageError(
            f"depth must be coded as one channel of 16 bits, the PNG has {channels} of {8 * pixels.itemsize}"
        )
    return pixels


def _decode_rvl(data: bytes) -> np.ndarray:
    """RVL after its own header: columns and rows, uint32 each."""
    if len(data) < 8:
        raise ImageMessageError(f"RVL starts with 8 bytes of size, data has {len(data)} bytes")
    width, height = struct.unpack_from("<2I", data)
    _require_size(width, height)
    try:
        return decode_rvl(data[8:], width * height).reshape(height, width)
    except RvlError as error:
        raise ImageMessageError(str(error)) from error


def _decode(data: bytes, name: str, flags: int) -> np.ndarray:
    """JPEG or PNG by OpenCV, after a look at what it claims."""
    if not data:
        raise ImageMessageError("the compressed image is empty")
    if data.startswith(_PNG):
        kind, size, complete = "PNG", _png_size(data), b"IEND" in data
    elif data.startswith(_JPEG):
        # Coded data cannot hold these markers, and a thumbnail ends before the picture's own scans start.
        kind, size, complete = "JPEG", _jpeg_size(data), data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    else:
        raise ImageMessageError(
            f"format {name[:60]!r}: the data are neither JPEG nor PNG, they start with {data[:8].hex(' ')}; "
            "valid: jpeg, png"
        )
    if size is None or not complete:
        raise ImageMessageError(f"the {kind} is truncated: it has no end within its {len(data)} bytes")
    _require_size(*size)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageMessageError(f"the {kind} cannot be decoded: {error.err}") from error
    if pixels is None:
        raise ImageMessageError(f"the {kind} of {size[0]}x{size[1]} px is damaged: it cannot be decoded")
    return pixels


def _png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG (ISO 15948, 11.2.2) [px]; None where it ends before that."""
    return struct.unpack_from(">2I", data, 16) if len(data) >= 24 else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG's frame header (ITU-T T.81, B.2.2) [px]; None where it ends before that."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # tables, reserved
            height, width = struct.unpack_from(">2H", data, at + 5)
            return width, height
        # Any number of 0xFF may come before a marker; a segment says how long it is.
        at += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _require_size(width: int, height: int) -> None:
    if not 0 < width * height <= MAX_PIXELS:
        raise ImageMessageError(
            f"the compressed image claims {width}x{height} px; valid: 1 to {MAX_PIXELS} px"
        )
