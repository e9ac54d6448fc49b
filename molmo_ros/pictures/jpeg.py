# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Walks the markers of a JPEG as libjpeg does (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from molmo_ros.pictures.coded_picture import CodedPicture, PictureError
from molmo_ros.pictures.exif import orientation_of

START = b"\xff\xd8\xff"
MAX_SEGMENTS = 10_000
"""Profiles come in 255 pieces at most; a decoder walks through any number of empty ones."""
MAX_SCANS = 100
MAX_SCANNED_PIXELS = 2_000_000_000
"""A progressive JPEG has about ten scans. Each takes the time of the whole picture, whatever few bytes it has."""
# A marker that a decoder acts on. 0xFF 0x00 is a coded 0xFF, 0xFF 0xFF is filling, and TEM and RSTn have neither length
# nor effect. What stands between a segment and the next marker is skipped.
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
_SOF, _SOS, _SOI, _EOI, _APP1 = (0xC0, 0xC1, 0xC2), 0xDA, 0xD8, 0xD9, 0xE1
# Frames that are coded in another way: lossless, hierarchical, arithmetic.
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Tables, numbers and what applications keep: each has a length. The others are reserved.
_SEGMENTS = frozenset((0xC4, 0xCC, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE))
_EXIF = b"Exif\0\0"


@dataclass(frozen=True)
class _FrameHeader:
    """A frame header. `sampling` has the horizontal and vertical factor of each component by its id."""

    progressive: bool
    width: int
    height: int
    sampling: dict[int, tuple[int, int]]

    def blocks(self, component: int) -> int:
        """How many blocks of 8x8 samples a component has; those that only fill up are not counted."""
        horizontal, vertical = self.sampling[component]
        across = max(h for h, _ in self.sampling.values()) * 8
        down = max(v for _, v in self.sampling.values()) * 8
        return -(-self.width * horizontal // across) * -(-self.height * vertical // down)


def read_jpeg(data: bytes) -> CodedPicture:
    """What a JPEG claims, held against its markers and the bytes of its scans.

    Raises:
        PictureError: Truncated, damaged, of a kind that is not read, or too little data for the size it claims.
    """
    frame: _FrameHeader | None = None
    orientation = scans = segments = 0
    seen: set[int] = set()  # components whose first values have come
    scan: bytes | None = None  # the header of the one whose coded data begin at `at`
    at = 2
    while True:
        found = _MARKER.search(data, at)
        if found is None:
            raise PictureError(f"the JPEG is truncated: it has no end within its {len(data)} bytes")
        marker, start = found[1][0], found.end()
        if frame is not None and scan is not None:
            seen |= _require_coded(frame, scan, found.start() - at)
            scan = None
        if marker == _EOI:
            break
        body = _segment(data, marker, start)
        segments += 1
        if segments > MAX_SEGMENTS:
            raise PictureError(f"the JPEG has more than {MAX_SEGMENTS} segments")
        at = start + 2 + len(body)
        if marker in _SOF:
            if frame is not None:
                raise PictureError("the JPEG is damaged: it has two frame headers")
            frame = _frame(marker, body)
        elif marker == _SOS:
            if frame is None:
                raise PictureError("the JPEG is damaged: a scan comes before its frame header")
            scans, scan = scans + 1, body
            if scans > MAX_SCANS or (scans > 1 and scans * frame.width * frame.height > MAX_SCANNED_PIXELS):
                raise PictureError(
                    f"the JPEG of {frame.width}x{frame.height} px has {scans} scans or more; valid: up to {MAX_SCANS}, "
                    f"and {MAX_SCANNED_PIXELS} px in all of them"
                )
        elif marker == _APP1 and body.startswith(_EXIF) and not orientation:
            orientation = orientation_of(body[len(_EXIF) :])
    if frame is None or scans == 0:
        raise PictureError("the JPEG is truncated: it ends before its first scan")
    if missing := set(frame.sampling) - seen:
        raise PictureError(
            f"the JPEG is truncated: {len(missing)} of its {len(frame.sampling)} components are in no scan"
        )
    channels = 1 if len(frame.sampling) == 1 else 3
    # Decoders keep the coefficients, two bytes each, of what comes in more than one scan. Of the factors' filling up
    # nothing is said here: it is a few rows.
    whole = frame.progressive or scans > 1
    working = sum(128 * frame.blocks(one) for one in frame.sampling) if whole else 0
    working += frame.width * 64 * len(frame.sampling)
    return CodedPicture("JPEG", frame.width, frame.height, channels, 1, data, working, orientation or 1)


def _segment(data: bytes, marker: int, start: int) -> bytes:
    """What a marker's segment holds after its length."""
    if marker in _OTHER_FRAMES:
        raise PictureError(
            f"the JPEG is coded in a way that is not read (SOF{marker - 0xC0}); valid: baseline and progressive JPEG"
        )
    if marker not in _SEGMENTS and marker not in _SOF and marker != _SOS:
        raise PictureError(f"the JPEG is damaged: marker FF {marker:02X} must not be there")
    length = struct.unpack_from(">H", data, start)[0] if start + 2 <= len(data) else 0
    if start + length > len(data) or start + 2 > len(data):
        raise PictureError(f"the JPEG is truncated: a segment reaches past its {len(data)} bytes")
    if length < 2:
        raise PictureError(f"the JPEG is damaged: a segment claims {length} bytes, its length alone takes 2")
    return data[start + 2 : start + length]


def _frame(marker: int, body: bytes) -> _FrameHeader:
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise PictureError(f"the JPEG is damaged: its frame header has {len(body)} bytes")
    bits, height, width, count = struct.unpack_from(">BHHB", body)
    if bits != 8:
        raise PictureError(f"the JPEG has {bits} bits per sample; valid: 8")
    sampling = {body[at]: (body[at + 1] >> 4, body[at + 1] & 15) for at in range(6, len(body), 3)}
    if (
        not 1 <= count <= 4
        or len(sampling) != count
        or any(not 1 <= f <= 4 for s in sampling.values() for f in s)
    ):
        raise PictureError(
            f"the JPEG is damaged: its frame header describes {count} components that cannot be"
        )
    return _FrameHeader(marker == 0xC2, width, height, sampling)


def _require_coded(frame: _FrameHeader, header: bytes, size: int) -> set[int]:
    """Components whose first values come in a scan of so many bytes, after a look at whether they can."""
    if not header or len(header) != 4 + 2 * header[0] or not 1 <= header[0] <= 4:
        raise PictureError("the JPEG is damaged: the header of a scan is wrong")
    components = {header[at] for at in range(1, len(header) - 3, 2)}
    if not components <= set(frame.sampling):
        raise PictureError("the JPEG is damaged: a scan names a component that the frame header does not")
    first, approximation = header[-3], header[-1]
    if first != 0 or approximation >> 4:  # not the means of the blocks, or only a further bit of them
        return set()
    blocks = sum(frame.blocks(one) for one in components)
    if blocks > 8 * size:  # a Huffman code has at least one bit
        raise PictureError(
            f"the JPEG claims {frame.width}x{frame.height} px, which {size} bytes of coded data cannot hold: "
            "it is truncated"
        )
    return components
