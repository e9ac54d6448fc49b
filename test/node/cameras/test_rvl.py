# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""RVL against an encoder written here by the paper (Wilson 2017), number by number."""

import struct
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.picture_fuzz import run_batch
from molmo_ros.node.cameras import rvl
from molmo_ros.node.cameras.rvl import RvlError, decode_rvl


def packed(numbers):
    """Groups of three bits, lowest first, with a fourth that says "more follows"; eight in a word, the first on top."""
    groups = []
    for number in numbers:
        while True:
            group, number = number & 7, number >> 3
            groups.append(group | 8 if number else group)
            if not number:
                break
    groups += [0] * (-len(groups) % 8)
    words = [groups[at : at + 8] for at in range(0, len(groups), 8)]
    return b"".join(struct.pack("<I", sum(g << (28 - 4 * i) for i, g in enumerate(word))) for word in words)


def encoded(pixels):
    numbers, at, previous, size = [], 0, 0, len(pixels)
    while at < size:
        begin = at
        while at < size and pixels[at] == 0:
            at += 1
        end = at
        while end < size and pixels[end] != 0:
            end += 1
        numbers += [at - begin, end - at]
        for value in pixels[at:end]:
            step, previous = value - previous, value
            numbers.append(2 * step if step >= 0 else -2 * step - 1)
        at = end
    return packed(numbers)


@pytest.mark.parametrize("block", [4, 8, 60, 1 << 18])
def test_every_run_survives_every_cut_of_the_data(monkeypatch, block):
    """Blocks so small that numbers, runs and the pairs before them are cut."""
    monkeypatch.setattr(rvl, "_BLOCK_BYTES", block)
    rng = np.random.default_rng(block)
    for _ in range(60):
        pixels = rng.integers(1, 65536, rng.integers(1, 300))
        pixels[rng.random(len(pixels)) < rng.random()] = 0
        pixels[: rng.integers(0, len(pixels))] = 0
        data = encoded(pixels.tolist())
        np.testing.assert_array_equal(decode_rvl(data, len(pixels)), pixels)
        np.testing.assert_array_equal(decode_rvl(data + b"\0" * 100, len(pixels)), pixels)
        with pytest.raises(RvlError):
            decode_rvl(data, len(pixels) + 1)
        if pixels[-1]:
            with pytest.raises(RvlError):
                decode_rvl(data, len(pixels) - 1)


def test_runs_that_hold_nothing_are_refused():
    for numbers in ([0, 0, 1, 1, 2], [1, 0, 0, 0, 0, 1, 2]):
        with pytest.raises(RvlError, match="do not fit"):
            decode_rvl(packed(numbers), 2)


def test_memory_is_that_of_the_pixels():
    """100 million zeros in 12 bytes, and a message far larger than its picture."""
    header = struct.pack("<iff", 0, 1.0, 0.0)
    zeros = header + struct.pack("<II", 10_000, 10_000) + packed([100_000_000, 0])
    long = header + struct.pack("<II", 4, 4) + packed([16, 0]) + bytes(20_000_000)
    for data, most in ((zeros, 220), (long, 100)):
        answer = run_batch([SimpleNamespace(format="16UC1; compressedDepth rvl", data=data)])
        assert answer["counts"] == {"refused read": 1} and answer["memory"] >> 20 < most
