"""RVL, the lossless depth compression of image_transport's `compressedDepth`.

Wilson 2017, "Fast Lossless Depth Image Compression". Groups of three bits with a fourth that says "more follows",
lowest group first, make numbers; the numbers are, in turn, how many zeros come, how many other values come, and
those as zigzag-coded differences to the last value that was not zero.
"""

from __future__ import annotations

import numpy as np

# A difference of 16-bit values, zigzag-coded, has 17 bits; a count of pixels has 27 up to 100 million.
_MOST_GROUPS = 9


class RvlError(ValueError):
    """Data that are no RVL of the size they claim."""


def decode_rvl(data: bytes, count: int) -> np.ndarray:
    """Decode pixels.

    Args:
        data: 32-bit little-endian words, each with its first group in the highest bits.
        count: How many pixels they hold [px].

    Returns:
        uint16 [count].

    Raises:
        RvlError: The data end early, or hold more than `count` pixels.
    """
    numbers = _numbers(data)
    pixels = np.zeros(count, np.uint16)
    filled = np.zeros(count, bool)
    taken = np.zeros(len(numbers), bool)
    pixel = at = 0
    while pixel < count:
        if at + 2 > len(numbers):
            raise RvlError(f"RVL data end after {pixel} of {count} pixels")
        zeros, others = int(numbers[at]), int(numbers[at + 1])
        start, at = pixel + zeros, at + 2
        pixel = start + others
        if pixel > count or at + others > len(numbers) or zeros + others == 0:
            raise RvlError(f"RVL data do not fit {count} pixels")
        filled[start:pixel] = True
        taken[at : at + others] = True
        at += others
    zigzag = numbers[taken]
    steps = (zigzag >> 1) ^ -(zigzag & 1)
    pixels[filled] = np.cumsum(steps).astype(np.uint16)
    return pixels


def _numbers(data: bytes) -> np.ndarray:
    """All numbers of variable length, int32; an unfinished last one is left out."""
    octets = np.frombuffer(data, "<u4", len(data) // 4).astype(">u4").view(np.uint8)
    groups = np.stack([octets >> 4, octets & 0xF], axis=1).ravel()
    ends = np.flatnonzero(groups < 8)
    starts = np.concatenate([[0], ends + 1])[: len(ends)]
    lengths = ends - starts + 1
    longest = int(lengths.max(initial=1))
    if longest > _MOST_GROUPS:
        raise RvlError(f"RVL data hold a number of {3 * longest} bits")
    numbers = (groups[starts] & 7).astype(np.int32)
    for place in range(1, longest):
        longer = np.flatnonzero(lengths > place)
        numbers[longer] |= (groups[starts[longer] + place] & 7).astype(np.int32) << (3 * place)
    return numbers
