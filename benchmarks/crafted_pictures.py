# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures that claim more than they hold, or unpack to far more, written by the formats' own descriptions."""

import struct
import zlib

import cv2
import numpy as np

SMALL = np.full((24, 32, 3), (40, 120, 200), np.uint8)


def coded(pixels, extension, *flags):
    return cv2.imencode(extension, pixels, flags)[1].tobytes()


def chunk(kind, body, length=None):
    """A PNG chunk; `length` is what it claims to have."""
    sized = struct.pack(">I", len(body) if length is None else length)
    return sized + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, idat, bits=8, color=2, extra=b"", interlace=0):
    """A PNG with that header, and `extra` chunks before its data."""
    header = struct.pack(">2I5B", width, height, bits, color, 0, 0, interlace)
    end = chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", idat) + end


def zeros(count):
    """A zlib stream of so many zeros, as small as it gets."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & ((1 << 20) - 1))), packer.flush()])


def segment(marker, body=b"", length=None):
    """A JPEG segment; `length` is what it claims to have."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2 if length is None else length) + body


def jpeg_of(width, height, *flags, before=b"", gray=False):
    """A small JPEG whose frame header claims that size, with something before it."""
    data = coded(SMALL[..., 0] if gray else SMALL, ".jpg", *flags)
    at = next(i for i in range(len(data)) if data[i] == 0xFF and data[i + 1] in (0xC0, 0xC2))
    size = struct.pack(">2H", height, width)
    return data[:2] + before + data[2 : at + 5] + size + data[at + 9 :]


def progressive(width, height, scans):
    """A gray progressive JPEG of one colour whose scans after the first hold nothing: runs without end.

    T.81: a table of one code for the means (0 is "no change"), one for runs of 32767 empty blocks (0xE0), both "0".
    """
    blocks = -(-width // 8) * -(-height // 8)
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    means = segment(0xC4, b"\x00" + bytes([1] + [0] * 15) + b"\x00")
    runs = segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\xe0")
    first = segment(0xDA, b"\x01\x01\x00\x00\x00\x00") + bytes(-(-blocks // 8))
    # Each run is a code of one bit and 14 bits of its length, here all 0: 16384 blocks.
    empty = segment(0xDA, b"\x01\x01\x00\x01\x3f\x00") + bytes(-(-blocks // 16384) * 15 // 8 + 2)
    quantisation = segment(0xDB, b"\x00" + bytes([1] * 64))
    return (
        b"\xff\xd8"
        + quantisation
        + segment(0xC2, frame)
        + means
        + runs
        + first
        + empty * (scans - 1)
        + b"\xff\xd9"
    )


def webp_lossless(width, height):
    """A lossless WebP whose five codes have one symbol each, so that its pixels take no bits (RFC 9649)."""
    bits = [0, 0, 0]  # no transform, no colour cache, no meta codes
    for _ in range(5):
        bits += [1, 0, 0, 0]  # simple code, one symbol, of one bit: 0
    size = (width - 1) | (height - 1) << 14
    stream = (
        bytes([0x2F]) + struct.pack("<I", size) + np.packbits(bits, bitorder="little").tobytes() + bytes(4)
    )
    body = b"VP8L" + struct.pack("<I", len(stream)) + stream + bytes(len(stream) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def tiff(width, height, coded, compression=1, samples=3, bits=8, order="<", rows=None, claimed=None, **more):
    """A TIFF of one strip."""
    offset = 8
    fields = {
        256: width,
        257: height,
        258: bits if samples == 1 else (bits,) * samples,
        259: compression,
        262: 1 if samples == 1 else 2,
        273: offset,
        277: samples,
        278: height if rows is None else rows,
        279: len(coded) if claimed is None else claimed,
        **{int(tag[1:]): value for tag, value in more.items()},
    }
    start = 8 + len(coded) + len(coded) % 2
    entries, beyond = b"", b""
    after = start + 2 + 12 * len(fields) + 4
    for tag, value in sorted(fields.items()):
        values = value if isinstance(value, tuple) else (value,)
        kind = 4 if max(values) > 65535 else 3
        packed = struct.pack(f"{order}{len(values)}{'I' if kind == 4 else 'H'}", *values)
        if len(packed) > 4:
            packed, beyond = struct.pack(f"{order}I", after + len(beyond)), beyond + packed
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(f"{order}I", start) + coded + bytes(len(coded) % 2)
    return head + struct.pack(f"{order}H", len(fields)) + entries + bytes(4) + beyond


def crafted(light=False):
    """Name -> bytes of a picture that is meant to cost memory or time.

    Args:
        light: Those alone that are quickly made, and smaller ones of the others: 2000x2000 in place of 10000x10000.
    """
    edge = 1990 if light else 9990
    tiny_png = coded(SMALL[:2, :2], ".png")
    bomb = zeros(64 << 20)
    text = [
        chunk(b"iCCP", b"p\0\0" + bomb),
        chunk(b"zTXt", b"k\0\0" + bomb),
        chunk(b"iTXt", b"k\0\1\0\0\0" + bomb),
    ]
    small, palette = zeros(24 * (32 * 3 + 1)), chunk(b"PLTE", bytes(6))
    # Markers without a length before the frame header: what reads one skips over it to the wrong frame header.
    hidden = segment(0xC0, struct.pack(">BHHB", 8, 24, 32, 3) + b"\x01\x11\0\x02\x11\0\x03\x11\0")
    decoy = b"\xff\x01" + b"\xff\xd0" * 3 + segment(0xFE, hidden)
    many = 10_000 if light else 1_000_000
    return {
        "png: a chunk of 2 GB": tiny_png[:33] + struct.pack(">I", 0x7FFFFFF0) + b"tEXt" + tiny_png[33:57],
        "png: IDAT of 2 GB": tiny_png[:33] + struct.pack(">I", 0x7FFFFFF0) + tiny_png[37:],
        "png: RGB of nothing": png(edge, edge, zeros(100)),
        "png: 16-bit RGBA of nothing": png(edge, edge, zeros(100), 16, 6),
        "png: interlaced of nothing": png(edge, edge, zeros(100), interlace=1),
        "png: 1-bit palette of nothing": png(edge, edge, zeros(100), 1, 3, palette),
        "png: bombs in iCCP, zTXt, iTXt": png(32, 24, small, extra=b"".join(text)),
        "png: 300 bombs in zTXt": png(32, 24, small, extra=text[1] * 300),
        "png: a million wide": png(1_000_000, 1, zeros(3_000_001)),
        "png: a million high": png(1, 1_000_000, zeros(4_000_000)),
        "png: 1-bit palette of zeros": png(edge, edge, zeros(edge * (edge // 8 + 2)), 1, 3, palette),
        "png: 16-bit gray of zeros": png(edge, edge, zeros(edge * (edge * 2 + 1)), 16, 0),
        "png: 16-bit RGB of zeros": png(edge, edge * 4 // 5, zeros(edge * 4 // 5 * (edge * 6 + 1)), 16, 2),
        "png: interlaced RGB of zeros": png(edge, edge, zeros(edge * (edge * 3 + 4)), interlace=1),
        "png: more data than pixels": png(32, 24, zeros((20 if light else 500) << 20)),
        "png: many chunks": png(32, 24, small, extra=chunk(b"tEXt", b"") * many),
        "jpeg: markers before the frame header": jpeg_of(65_500, 12_000, before=decoy * 2000),
        "jpeg: 10000x10000 of nothing": jpeg_of(10_000, 10_000),
        "jpeg: progressive of nothing": jpeg_of(10_000, 10_000, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "jpeg: many comments": jpeg_of(32, 24, before=segment(0xFE) * many),
        "jpeg: fill bytes": jpeg_of(32, 24, before=b"\xff" * 10 * many),
        "jpeg: restarts": jpeg_of(32, 24, before=b"\xff\xd3" * many),
        "jpeg: 5000 scans": progressive(2000, 2000, 5000),
        "jpeg: as many scans as are allowed": progressive(edge, edge, 20),
        "jpeg: progressive of one colour": progressive(edge, edge, 3),
        "webp: 16383x16383": webp_lossless(16383, 16383),
        "webp: of one colour": webp_lossless(edge, edge),
        "tiff: RGB of nothing": tiff(edge, edge, bytes(100)),
        "tiff: deflate of nothing": tiff(edge, edge, zeros(100), 8),
        "tiff: 100000 values in a field": tiff(8, 8, bytes(64), samples=1, t34665=(9,) * 100_000),
        "tiff: a strip of 2 GB": tiff(8, 8, bytes(192), claimed=0x7FFFFFF0),
        "tiff: 16-bit RGB of zeros": tiff(
            edge * 3 // 4, edge * 3 // 4, zeros((edge * 3 // 4) ** 2 * 6), 8, bits=16
        ),
    }
