# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""RVL, the lossless depth compression of image_transport's `compressedDepth`.

Wilson 2017, "Fast Lossless Depth Image Compression". Groups of three bits with a fourth that says "more follows",
lowest group first, make numbers; the numbers are, in turn, how many zeros come, how many other values come, and
those as zigzag-coded differences to the last value that was not zero.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# A difference of 16-bit values, zigzag-coded, has 17 bits; a count of pixels has 27 up to 100 million.
_MOST_GROUPS = 9
# So much is decoded at a time, so that memory does not grow with the data.
_BLOCK_BYTES = 1 << 18


class RvlError(ValueError):
    """Data that are no RVL of the size they claim."""


def decode_rvl(data: bytes, count: int) -> np.ndarray:
    """Decode pixels. Takes some 40 MB besides its result, and time in proportion to what is decoded.

    Args:
        data: 32-bit little-endian words, each with its first group in the highest bits.
        count: How many pixels they hold [px].

    Returns:
        uint16 [count].

    Raises:
        RvlError: The data end early, or hold more than `count` pixels.
    """
    pixels = np.zeros(count, np.uint16)
    pixel = value = missing = 0  # the next pixel, the last value, differences that a run still lacks
    rest = np.zeros(0, np.int32)
    for fresh in _numbers(data):
        numbers = np.concatenate([rest, fresh])
        starts, rest_at = _run_starts(numbers, missing)
        zeros, others = numbers[starts].astype(np.int64), numbers[starts + 1].astype(np.int64)
        # What is left of the run before comes first, as one without zeros.
        starts, zeros, others = (
            np.concatenate([[first], one]) for first, one in ((-2, starts), (0, zeros), (missing, others))
        )
        ends = pixel + np.cumsum(zeros + others)
        runs = int(np.searchsorted(ends, count)) + 1  # up to the one that ends the picture
        last = min(runs, len(ends))
        if ends[last - 1] > count or not (zeros + others)[1:last].all():
            raise RvlError(f"RVL data do not fit {count} pixels")
        starts, zeros, others, ends = starts[:last], zeros[:last], others[:last], ends[:last]
        here = np.minimum(others, len(numbers) - starts - 2)  # differences that have come
        missing = int((others - here).sum())
        # Where they stand among the numbers and among the pixels.
        steps = np.arange(here.sum()) - np.repeat(np.cumsum(here) - here, here)
        zigzag = numbers[np.repeat(starts + 2, here) + steps]
        values = value + np.cumsum((zigzag >> 1) ^ -(zigzag & 1))
        pixels[np.repeat(ends - others, here) + steps] = values.astype(np.uint16)
        value = int(values[-1]) if len(values) else value
        pixel = int(ends[-1]) - missing
        if pixel == count:
            return pixels
        rest = numbers[rest_at:]
    raise RvlError(f"RVL data end after {pixel} of {count} pixels")


def _run_starts(numbers: np.ndarray, first: int) -> tuple[np.ndarray, int]:
    """Where runs begin among the numbers, the first at `first`; and where those begin that belong to none of them."""
    others = numbers.tolist()
    starts, at, end = [], first, len(others)
    while at + 2 <= end:
        starts.append(at)
        at += 2 + others[at + 1]
    return np.array(starts, np.int64), min(at, end)


def _numbers(data: bytes) -> Iterator[np.ndarray]:
    """All numbers of variable length, int32, in blocks; an unfinished last one is left out."""
    unfinished = np.zeros(0, np.uint8)
    for start in range(0, len(data) - 3, _BLOCK_BYTES):
        words = np.frombuffer(data, "<u4", min(_BLOCK_BYTES, len(data) - start) // 4, start)
        octets = words.astype(">u4").view(np.uint8)
        groups = np.concatenate([unfinished, np.stack([octets >> 4, octets & 0xF], axis=1).ravel()])
        ends = np.flatnonzero(groups < 8)
        starts = np.concatenate([[0], ends + 1])
        unfinished = groups[starts[-1] :]
        lengths = ends - starts[:-1] + 1
        longest = int(lengths.max(initial=0))
        if max(longest, len(unfinished)) > _MOST_GROUPS:
            raise RvlError(f"RVL data hold a number of {3 * max(longest, len(unfinished))} bits")
        starts = starts[:-1]
        numbers = (groups[starts] & 7).astype(np.int32)
        for place in range(1, longest):
            longer = np.flatnonzero(lengths > place)
            numbers[longer] |= (groups[starts[longer] + place] & 7).astype(np.int32) << (3 * place)
        yield numbers
