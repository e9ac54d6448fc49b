# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Walks the first directory of a TIFF (TIFF 6.0), and writes a new one with what decides pixels alone."""

from __future__ import annotations

import struct

from molmo_ros.pictures.coded_picture import CodedPicture, PictureError
from molmo_ros.pictures.exif import ORIENTATION
from molmo_ros.pictures.tiff_directory import TiffDirectory, TiffError

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOR = 256, 257, 258, 259, 262
_OFFSETS, _SAMPLES, _ROWS, _SIZES, _PLANES, _PREDICTOR, _MAP = 273, 277, 278, 279, 284, 317, 320
_EXTRA, _FORMAT = 338, 339
_TILE_WIDTH = 322
MAX_STRIPS = 100_000
# Compression -> its name, and how many bytes come of one at best.
_COMPRESSIONS = {
    1: ("none", 1),
    5: ("LZW", 3411),  # a code of 9 bits for the longest string that a table of 4096 can hold
    8: ("Deflate", 1032),
    32946: ("Deflate", 1032),
    32773: ("PackBits", 64),
}
_UNSIGNED, _FLOATING = 1, 3


def read_tiff(data: bytes) -> CodedPicture:
    """What a TIFF's first picture claims, held against its bytes.

    Strips of 8 or 16 bits or of 32-bit floating numbers; gray, RGB or of a palette; uncompressed, LZW,
    Deflate or PackBits.

    Raises:
        PictureError: Truncated, damaged, of another kind, or too little data for the size it claims.
    """
    try:
        return _read(data, TiffDirectory.first(data))
    except TiffError as error:
        raise PictureError(f"the TIFF is damaged or truncated: {error}") from error


def _read(data: bytes, directory: TiffDirectory) -> CodedPicture:
    width, height = directory.number(_WIDTH), directory.number(_HEIGHT)
    samples = directory.number(_SAMPLES, 1)
    bits, kind = _sample(directory, samples)
    compression, color = directory.number(_COMPRESSION, 1), directory.number(_COLOR)
    if compression not in _COMPRESSIONS:
        names = ", ".join(dict.fromkeys(name for name, _ in _COMPRESSIONS.values()))
        raise PictureError(f"the TIFF has compression {compression}; valid: {names}")
    if directory.number(_PLANES, 1) != 1:
        raise PictureError("the TIFF keeps each colour in a plane of its own; valid: colours side by side")
    if (color, samples) not in ((0, 1), (1, 1), (1, 2), (3, 1), (2, 3), (2, 4)):
        raise PictureError(
            f"the TIFF has colours of kind {color} with {samples} samples; valid: gray, RGB, palette"
        )
    predictor = directory.number(_PREDICTOR, 1)
    if predictor not in (1, 2) and not (predictor == 3 and kind == _FLOATING):
        raise PictureError(f"the TIFF is damaged: it has no predictor {predictor}")
    if _TILE_WIDTH in directory:
        raise PictureError("the TIFF is stored in tiles; valid: strips")
    rows = max(min(directory.number(_ROWS, height), height), 1)
    offsets, sizes = directory.numbers(_OFFSETS, MAX_STRIPS), directory.numbers(_SIZES, MAX_STRIPS)
    if not len(offsets) == len(sizes) == -(-height // rows):
        raise PictureError(
            f"the TIFF is damaged: it has {len(offsets)} strips, {width}x{height} px take {-(-height // rows)}"
        )
    if any(offset + size > len(data) for offset, size in zip(offsets, sizes, strict=True)):
        raise PictureError(f"the TIFF is truncated: a strip of it reaches past its {len(data)} bytes")
    if width * height * samples * bits // 8 > sum(sizes) * _COMPRESSIONS[compression][1]:
        raise PictureError(
            f"the TIFF claims {width}x{height} px, which {sum(sizes)} bytes of coded data cannot hold: it is truncated"
        )
    fields: dict[int, tuple[int, ...]] = {
        _WIDTH: (width,),
        _HEIGHT: (height,),
        _BITS: (bits,) * samples,
        _COMPRESSION: (compression,),
        _COLOR: (color,),
        _OFFSETS: offsets,
        _SAMPLES: (samples,),
        _ROWS: (rows,),
        _SIZES: sizes,
        _PLANES: (1,),
        _FORMAT: (kind,) * samples,
    }
    if predictor != 1:
        fields[_PREDICTOR] = (predictor,)
    if samples in (2, 4):
        fields[_EXTRA] = (0,)
    if color == 3:
        fields[_MAP] = directory.numbers(_MAP, 3 << bits)
        if len(fields[_MAP]) != 3 << bits:
            raise PictureError(f"the TIFF is damaged: its palette has {len(fields[_MAP])} values")
    orientation = directory.number(ORIENTATION, 1)
    # A strip as it is unpacked, and where samples have 8 bits as RGBA.
    working = width * rows * (samples * bits // 8 + (4 if bits == 8 else 0))
    working += width * height * bits // 8 if samples in (2, 4) else 0
    return CodedPicture(
        "TIFF",
        width,
        height,
        1 if color in (0, 1) and samples == 1 else 3,
        bits // 8,
        _with_directory(data, directory.order, fields),
        working,
        orientation if 1 <= orientation <= 8 else 1,
    )


def _sample(directory: TiffDirectory, samples: int) -> tuple[int, int]:
    """Bits and format of the samples, which must be the same for all of a pixel."""
    if not 1 <= samples <= 4:
        raise PictureError(f"the TIFF has {samples} samples per pixel; valid: 1 to 4")
    bits = set(directory.numbers(_BITS, 4)) if _BITS in directory else {1}
    kinds = set(directory.numbers(_FORMAT, 4)) if _FORMAT in directory else {_UNSIGNED}
    valid = ({8}, {_UNSIGNED}), ({16}, {_UNSIGNED}), ({32}, {_FLOATING})
    if (bits, kinds) not in valid:
        raise PictureError(
            f"the TIFF has samples of {', '.join(map(str, sorted(bits)))} bits (format "
            f"{', '.join(map(str, sorted(kinds)))}); valid: 8 and 16 bits, 32-bit floating numbers"
        )
    return bits.pop(), kinds.pop()


def _with_directory(data: bytes, order: str, fields: dict[int, tuple[int, ...]]) -> bytes:
    """The data with a new directory behind them that has these fields alone, as 16 or 32-bit numbers."""
    start = len(data) + len(data) % 2
    entries, beyond = b"", b""
    after = start + 2 + 12 * len(fields) + 4
    for tag, values in sorted(fields.items()):
        short = tag not in (_OFFSETS, _SIZES, _WIDTH, _HEIGHT, _ROWS)
        packed = struct.pack(f"{order}{len(values)}{'H' if short else 'I'}", *values)
        if len(packed) > 4:
            place = struct.pack(f"{order}I", after + len(beyond))
            beyond += packed
        else:
            place = packed.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, 3 if short else 4, len(values)) + place
    head = data[:4] + struct.pack(f"{order}I", start)
    count = struct.pack(f"{order}H", len(fields))
    parts = (head, memoryview(data)[8:], bytes(len(data) % 2), count, entries, bytes(4), beyond)
    return b"".join(parts)
