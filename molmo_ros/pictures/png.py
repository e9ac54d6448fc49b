# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Walks the chunks of a PNG as libpng does (ISO 15948)."""

from __future__ import annotations

import struct

from molmo_ros.pictures.coded_picture import CodedPicture, PictureError
from molmo_ros.pictures.exif import orientation_of

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 100_000
"""A message of 8 kB chunks, as libpng writes them, would have 800 MB."""
# Deflate codes 258 bytes in two bits at best (RFC 1951).
DEFLATE_RATIO = 1032
# Colour type -> samples per pixel, the bit depths it may have (ISO 15948, table 11.1), decoded channels.
_COLORS = {
    0: (1, (1, 2, 4, 8, 16), 1),
    2: (3, (8, 16), 3),
    3: (1, (1, 2, 4, 8), 3),
    4: (2, (8, 16), 3),
    6: (4, (8, 16), 3),
}


def read_png(data: bytes) -> CodedPicture:
    """What a PNG claims, held against its chunks.

    Only the chunks that decide pixels go on to the decoder: it would unpack text and profiles, of any size.

    Raises:
        PictureError: Truncated, damaged, or too little data for the size it claims.
    """
    kept, orientation = [SIGNATURE], 1
    header, coded, ended_data = b"", 0, False
    at, chunks = len(SIGNATURE), 0
    while True:
        if at + 12 > len(data):
            raise PictureError(f"the PNG is truncated: it has no end within its {len(data)} bytes")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise PictureError(
                f"the PNG is truncated: its chunk {_name(kind)} claims {length} bytes, {len(data) - at - 12} are there"
            )
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise PictureError(f"the PNG has more than {MAX_CHUNKS} chunks")
        if (kind == b"IHDR") == bool(header):
            raise PictureError(
                f"the PNG is damaged: its chunk {_name(kind)} is where IHDR must be, once, first"
            )
        if kind == b"IHDR":
            header = data[at + 8 : end - 4]
        elif kind == b"IDAT":
            if ended_data:
                raise PictureError("the PNG is damaged: other chunks stand between its IDAT chunks")
            coded += length
        elif kind == b"eXIf":
            orientation = orientation_of(data[at + 8 : end - 4])
        elif kind not in (b"PLTE", b"IEND") and not kind[0] & 0x20:  # a critical one, by the case of its name
            raise PictureError(f"the PNG is damaged: its chunk {_name(kind)} is of no known kind")
        ended_data |= coded > 0 and kind != b"IDAT"
        if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            kept.append(data[at:end])
        at = end
        if kind == b"IEND":
            break
    width, height, bits, color = _header(header)
    samples, _, channels = _COLORS[color]
    needed = height * width * samples * bits // 8
    if needed > coded * DEFLATE_RATIO:
        raise PictureError(
            f"the PNG claims {width}x{height} px, which {coded} bytes of coded data cannot hold: it is truncated"
        )
    if coded > needed + needed // 100 + height + 4096:  # stored as it is, it takes less
        raise PictureError(
            f"the PNG has {coded} bytes of coded data, more than {width}x{height} px can need: it is damaged"
        )
    working = width * samples * bits + 8 * height  # some rows, and where each row is
    return CodedPicture(
        "PNG", width, height, channels, 2 if bits == 16 else 1, b"".join(kept), working, orientation
    )


def _header(header: bytes) -> tuple[int, int, int, int]:
    """Width, height, bit depth and colour type of an IHDR chunk."""
    if len(header) != 13:
        raise PictureError(f"the PNG is damaged: its header has {len(header)} bytes, 13 would be right")
    width, height, bits, color, compression, filters, interlace = struct.unpack(">2I5B", header)
    if color not in _COLORS or bits not in _COLORS[color][1] or compression or filters or interlace > 1:
        raise PictureError(f"the PNG is damaged: colour type {color} with {bits} bits is not one of PNG's")
    return width, height, bits, color


def _name(kind: bytes) -> str:
    return repr(kind.decode("latin-1"))
