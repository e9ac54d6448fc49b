# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the parts of a bag are compressed with, unpacked within bounds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lz4.frame import LZ4FrameDecompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
BLOCK = 1 << 20


class DecompressionError(ValueError):
    """Compressed data is damaged, or of a kind that is not known."""


def decompressed(data: bytes, compression: str, size: int, *, partly: bool = False) -> bytes:
    """Unpack what `compression` names ("", "zstd" or "lz4").

    Args:
        size: At most so many bytes.
        partly: Take what can be unpacked where the data ends early or is damaged.

    Raises:
        DecompressionError: It cannot be unpacked.
    """
    if compression == "":
        return data[:size]
    makers = {"zstd": zstd.ZstdDecompressor, "lz4": LZ4FrameDecompressor}
    if compression not in makers:
        raise DecompressionError(f"its compression is {compression[:20]!r}; known: {', '.join(makers)}")
    found = bytearray()
    try:
        while data and len(found) < size:  # one frame after the other
            decompressor: Any = makers[compression]()
            fed = 0
            while (
                not decompressor.eof
                and len(found) < size
                and (fed < len(data) or not decompressor.needs_input)
            ):
                # In blocks, so that what lies before the damage is there when it raises.
                block = data[fed : fed + BLOCK] if decompressor.needs_input else b""
                fed += len(block)
                found += decompressor.decompress(block, size - len(found))
            data = (decompressor.unused_data or b"") + data[fed:] if decompressor.eof else b""
    except (RuntimeError, EOFError, zstd.ZstdError) as error:
        if not partly:
            raise DecompressionError(f"it cannot be unpacked ({error})") from error
    return bytes(found)


def message_content(data: bytes, limit: int) -> bytes:
    """A recorded message, unpacked where the recorder compressed each by itself.

    CDR begins with 0, so there is no doubt; what the metadata says, and may say wrongly, is not needed.

    Raises:
        DecompressionError: It cannot be unpacked.
    """
    return decompressed(data, "zstd", limit) if data.startswith(ZSTD_MAGIC) else data


def decompress_file(path: Path, to: Path) -> str:
    """Unpack a zstd file.

    Returns:
        What is wrong with it; "" where nothing is. What could be unpacked is in `to`.

    Raises:
        OSError: It cannot be read, or there is no room for it.
    """
    with path.open("rb") as packed, to.open("wb") as unpacked:
        try:
            with zstd.open(packed, "rb") as stream:
                while block := stream.read(BLOCK):
                    unpacked.write(block)
        except (zstd.ZstdError, EOFError) as error:
            return f"its compression is damaged after {unpacked.tell()} bytes: {error}"
    return ""
