# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Walks the chunks of a WebP (RFC 9649)."""

from __future__ import annotations

import struct

from molmo_ros.pictures.coded_picture import CodedPicture, PictureError
from molmo_ros.pictures.exif import orientation_of

MAX_CHUNKS = 1000
PIXELS_OF_ANY = 16_000_000
PIXELS_PER_BYTE = 1000
"""A WebP of one colour takes 32 bytes, whatever its size. Larger ones than `PIXELS_OF_ANY` have at least a byte for so
many pixels; pictures of cameras have a hundred times as many."""


def is_webp(data: bytes) -> bool:
    """Whether bytes begin as a WebP does."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def read_webp(data: bytes) -> CodedPicture:
    """What a WebP claims. Only its picture goes on to the decoder: no profile, no text, no transparency.

    Raises:
        PictureError: Truncated, damaged, or an animation.
    """
    (claimed,) = struct.unpack_from("<I", data, 4)
    if 8 + claimed > len(data) + 1:  # writers differ in whether the last filling byte counts
        raise PictureError(f"the WebP is truncated: it claims {8 + claimed} bytes, {len(data)} are there")
    picture, orientation, at, chunks = b"", 1, 12, 0
    while at + 8 <= 8 + claimed:
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + length]
        if len(body) < length:
            raise PictureError(
                f"the WebP is truncated: a part of it claims {length} bytes, {len(body)} are there"
            )
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise PictureError(f"the WebP has more than {MAX_CHUNKS} chunks")
        if kind in (b"ANIM", b"ANMF"):
            raise PictureError("the WebP is an animation; one picture is needed: save one frame of it")
        if kind in (b"VP8 ", b"VP8L") and not picture:
            width, height = _lossy_size(body) if kind == b"VP8 " else _lossless_size(body)
            picture = kind + struct.pack("<I", length) + body + bytes(length % 2)
        elif kind == b"EXIF":
            orientation = orientation_of(body.removeprefix(b"Exif\0\0"))
        at += 8 + length + length % 2
    if not picture:
        raise PictureError(f"the WebP is truncated: it has no picture within its {len(data)} bytes")
    if width * height > max(PIXELS_OF_ANY, PIXELS_PER_BYTE * len(picture)):
        raise PictureError(
            f"the WebP claims {width}x{height} px in {len(picture)} bytes; valid: up to {PIXELS_OF_ANY} px, or "
            f"a byte for each {PIXELS_PER_BYTE} px"
        )
    clean = b"RIFF" + struct.pack("<I", 4 + len(picture)) + b"WEBP" + picture
    # A lossless one is unpacked to four bytes a pixel.
    return CodedPicture("WebP", width, height, 3, 1, clean, 2 * width * height, orientation)


def _lossy_size(body: bytes) -> tuple[int, int]:
    """Width and height of a VP8 key frame (RFC 6386, 9.1) [px]."""
    if len(body) < 10 or body[3:6] != b"\x9d\x01\x2a" or body[0] & 1:
        raise PictureError("the WebP is damaged: its picture has no key frame")
    width, height = struct.unpack_from("<2H", body, 6)
    return width & 0x3FFF, height & 0x3FFF


def _lossless_size(body: bytes) -> tuple[int, int]:
    """Width and height of lossless WebP (RFC 9649, 3.4) [px]."""
    if len(body) < 5 or body[0] != 0x2F:
        raise PictureError("the WebP is damaged: its lossless picture has no header")
    (bits,) = struct.unpack_from("<I", body, 1)
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
