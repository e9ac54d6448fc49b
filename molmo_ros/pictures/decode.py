# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Bytes of a coded picture to pixels, within bounds that hold whatever the bytes are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from molmo_ros.pictures import jpeg, png
from molmo_ros.pictures.coded_picture import CodedPicture, PictureError
from molmo_ros.pictures.jpeg import read_jpeg
from molmo_ros.pictures.png import read_png
from molmo_ros.pictures.tiff import read_tiff
from molmo_ros.pictures.webp import is_webp, read_webp

KINDS = "jpeg, png, webp, tiff"
_AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
# How other pictures begin, to call them by their names.
_OTHERS = (
    (0, b"GIF8", "a GIF"),
    (0, b"BM", "a BMP"),
    (0, b"II+\0", "a BigTIFF"),
    (0, b"MM\0+", "a BigTIFF"),
    (0, b"\xff\x0a", "a JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (4, b"ftypavi", "an AVIF"),
    (4, b"ftyphei", "a HEIF"),
    (4, b"ftypmif1", "a HEIF"),
    (0, b"\0\0\0\x01", "a piece of a video stream"),
    (0, b"\0\0\x01", "a piece of a video stream"),
)


@dataclass(frozen=True)
class Bounds:
    """What a picture may take.

    Attributes:
        pixels: The most that it may have [px].
        memory: The most that decoding it may take, to 8-bit RGB and besides its own bytes [bytes].
    """

    pixels: int
    memory: int


def is_known(data: bytes) -> bool:
    """Whether bytes begin as one of the kinds that are looked through does."""
    return _reader(data) is not None


def look_through(data: bytes) -> CodedPicture:
    """What a coded picture claims, held against its bytes; nothing is decoded.

    Raises:
        PictureError: No JPEG, PNG, WebP or TIFF; truncated, damaged, or too little data for the size it claims.
    """
    if not data:
        raise PictureError("the compressed image is empty")
    reader = _reader(data)
    if reader is not None:
        return reader(data)
    named = next((name for at, mark, name in _OTHERS if data[at : at + len(mark)] == mark), "")
    raise PictureError(
        f"the data are {named or 'neither JPEG, PNG, WebP nor TIFF'}, they start with {data[:8].hex(' ')}; "
        f"valid: {KINDS}; else send it raw, or decode it in a node of its own"
    )


def _reader(data: bytes) -> Callable[[bytes], CodedPicture] | None:
    """What looks through data that begin like these."""
    if data.startswith(png.SIGNATURE):
        return read_png
    if data.startswith(jpeg.START):
        return read_jpeg
    if is_webp(data):
        return read_webp
    return read_tiff if data[:4] in (b"II*\0", b"MM\0*") else None


def decode(picture: CodedPicture, bounds: Bounds) -> np.ndarray:
    """The pixels as stored: an orientation is not applied, transparency is dropped.

    Returns:
        [h, w] gray or [h, w, 3] BGR; uint8, uint16, or float32 of a TIFF.

    Raises:
        PictureError: It claims more than the bounds allow, or the decoder finds it damaged.
    """
    kind, width, height = picture.kind, picture.width, picture.height
    if not 0 < width * height <= bounds.pixels:
        raise PictureError(f"the compressed image claims {width}x{height} px; valid: 1 to {bounds.pixels} px")
    if picture.memory > bounds.memory:
        raise PictureError(
            f"the {kind} of {width}x{height} px takes {picture.memory >> 20} MiB to decode; "
            f"valid: up to {bounds.memory >> 20} MiB"
        )
    try:
        pixels = cv2.imdecode(np.frombuffer(picture.data, np.uint8), _AS_STORED)
    except cv2.error as error:
        raise PictureError(f"the {kind} cannot be decoded: {str(error.err):.200}") from error
    if pixels is None or pixels.shape[:2] != (height, width):
        raise PictureError(f"the {kind} of {width}x{height} px is damaged: it cannot be decoded")
    return pixels
