# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Bilinear resizing with the weights of `torch.nn.functional.interpolate`.

Resizing along one axis is a product with a sparse matrix: every output line is a weighted mean of a few
neighbouring input lines. Cut into blocks of neighbouring output lines, that matrix is a short row of small
dense matrices, and each of them is one call into BLAS. Rows first, then columns: the rows' products are over
long contiguous lines, and what is left for the columns is already small (unless the image is enlarged). The
weights depend only on the sizes, so they are made once per image size.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

ROW_BLOCK, COLUMN_BLOCK = 4, 32
"""Output lines, and output values of a row, per dense block: whole registers for BLAS, and yet so few that
little of a block is zeros."""


@dataclass(frozen=True)
class AxisWeights:
    """Weights of a resize along one axis: output line i is the sum over t of
    `weights[i, t]` * input line `first[i] + t`.

    A tap beyond the last input line reads the last input line.

    Attributes:
        size: Input lines [px].
        first: int64 `[out]`, the first input line that each output line reads.
        weights: float32 `[out, taps]`; zero where a tap is unused. An all-zero row is a padding line.
    """

    size: int
    first: np.ndarray
    weights: np.ndarray

    def padded(self, before: int, after: int) -> AxisWeights:
        """The same with `before` and `after` lines of zeros [px] around the output."""
        return AxisWeights(
            self.size,
            np.pad(self.first, (before, after), mode="edge"),
            np.pad(self.weights, ((before, after), (0, 0))),
        )

    @property
    def positions(self) -> np.ndarray:
        """Where two-tap weights sample the input [px], 0 the centre of the first line: float32 `[out]`."""
        return self.first.astype(np.float32) + self.weights[:, 1]

    def lines_read(self) -> np.ndarray:
        """The input lines with a weight other than zero, sorted: int64 `[n]`."""
        lines = np.minimum(self.first[:, None] + np.arange(self.weights.shape[1]), self.size - 1)
        return np.unique(lines[self.weights != 0])

    def band(self, start: int, stop: int) -> AxisWeights:
        """The weights of output lines `start` to `stop` [px] only."""
        return AxisWeights(self.size, self.first[start:stop], self.weights[start:stop])

    def reading(self, lines: np.ndarray) -> AxisWeights:
        """The same weights for an input that keeps only `lines`: sorted, with every line that is read."""
        return AxisWeights(len(lines), np.searchsorted(lines, self.first), self.weights)

    def interleaved(self, scale: np.ndarray) -> AxisWeights:
        """The weights of the values of a row of interleaved channels, each channel times its `scale`.

        Two thirds of the taps are zeros, since channels do not mix. That costs BLAS less than taking the
        channels apart and putting them together again.
        """
        channels, (out, taps) = len(scale), self.weights.shape
        inside = self.first[:, None] + np.arange(taps) < self.size
        weights = np.where(inside, self.weights, 0)
        weights[:, 0] += np.where(inside, 0, self.weights).sum(axis=1)  # only the last line has taps beyond
        spread = np.zeros((out, channels, taps, channels), np.float32)
        spread[..., 0] = weights[:, None, :] * scale[:, None]
        first = self.first[:, None] * channels + np.arange(channels)
        return AxisWeights(self.size * channels, first.ravel(), spread.reshape(out * channels, -1))


def bilinear_weights(size: int, out: int) -> AxisWeights:
    """Two-tap bilinear weights without antialiasing (`align_corners=False, antialias=False`).

    The sampling position ratio * (i + 0.5) - 0.5 is rounded once to float32 as in PyTorch's CPU kernel
    (ATen native/UpSample.h, compiled with fused multiply-add): at 4000 px that rounding moves a weight by
    1e-4, which is enough to change a rounded pixel.

    Args:
        size: Input lines [px].
        out: Output lines [px].
    """
    if size == out:
        return AxisWeights(size, np.arange(out), np.tile(np.array([1, 0], np.float32), (out, 1)))
    ratio = np.float64(np.float32(size) / np.float32(out))
    position = np.maximum((ratio * (np.arange(out) + 0.5) - 0.5).astype(np.float32), np.float32(0))
    first = np.minimum(position.astype(np.int64), size - 1)
    second_weight = np.clip(position - first.astype(np.float32), np.float32(0), np.float32(1))
    return AxisWeights(size, first, np.stack([np.float32(1) - second_weight, second_weight], axis=1))


def antialias_weights(size: int, out: int) -> AxisWeights:
    """Triangle-filter weights that widen with the reduction (`align_corners=False, antialias=True`).

    Every step is rounded to float32 as in PyTorch's CPU kernel (ATen native/cpu/UpSampleKernel.cpp): the
    rounding decides which lines at the rim of the filter count at all.

    Args:
        size: Input lines [px].
        out: Output lines [px].
    """
    scale = np.float32(size) / np.float32(out)
    support = max(scale, np.float32(1))
    centre = (np.float64(scale) * (np.arange(out) + 0.5)).astype(np.float32)
    first = np.maximum(((centre - support).astype(np.float64) + 0.5).astype(np.int64), 0)
    stop = np.minimum(((centre + support).astype(np.float64) + 0.5).astype(np.int64), size)
    lines = first[:, None] + np.arange(int((stop - first).max()))
    distance = (lines - centre.astype(np.float64)[:, None] + 0.5) * (np.float32(1) / support)
    weights = np.maximum(1 - np.abs(distance.astype(np.float32)), np.float32(0))
    weights[lines >= stop[:, None]] = 0
    total = np.add.accumulate(weights, axis=1)[:, -1:]  # in order, unlike sum
    return AxisWeights(size, first, weights / total)


@dataclass(frozen=True)
class Block:
    """Output lines `out` from input lines `read`: a dense float32 matrix `[out lines, input lines]`."""

    out: slice
    read: slice
    matrix: np.ndarray


def blocks(axis: AxisWeights, lines: int = ROW_BLOCK) -> tuple[Block, ...]:
    """Cuts the weights of one axis into dense blocks of at most `lines` output lines."""
    result = []
    taps = np.arange(axis.weights.shape[1])
    for start in range(0, len(axis.first), lines):
        out = slice(start, min(start + lines, len(axis.first)))
        weights = axis.weights[out]
        row, tap = np.nonzero(weights)
        column = np.minimum(axis.first[out][row] + taps[tap], axis.size - 1)
        low, high = (int(column.min()), int(column.max()) + 1) if len(column) else (0, 0)
        matrix = np.zeros((len(weights), high - low), np.float32)
        np.add.at(matrix, (row, column - low), weights[row, tap])
        result.append(Block(out, slice(low, high), matrix))
    return tuple(result)


def resize_rows(source: np.ndarray, axis_blocks: tuple[Block, ...], out: np.ndarray) -> None:
    """Resizes the first axis: float32 `[lines, values]` into `out` `[new lines, values]`."""
    for block in axis_blocks:
        np.matmul(block.matrix, source[block.read], out=out[block.out])


def resize_columns(source: np.ndarray, axis_blocks: tuple[Block, ...], out: np.ndarray) -> None:
    """Resizes the second axis: float32 `[lines, values]` into `out` `[lines, new values]`."""
    for block in axis_blocks:
        np.matmul(source[:, block.read], block.matrix.T, out=out[:, block.out])


def bilinear_pixels(
    image: np.ndarray,
    rows: AxisWeights,
    columns: AxisWeights,
    y: np.ndarray,
    x: np.ndarray,
    channel: np.ndarray,
) -> np.ndarray:
    """Bilinear values at chosen output pixels, in the operation order of PyTorch's CPU kernel.

    The kernel rounds the four weights' products to float32 and adds the four terms by fused multiply-add, top
    right first; a fused step is a float64 one rounded to float32 here. Used where a value lies so close to a
    half that the order of operations decides its rounding.

    Args:
        image: uint8 `[h, w, 3]`.
        rows: `bilinear_weights` of the height.
        columns: `bilinear_weights` of the width.
        y: Output rows [px], int64 `[n]`.
        x: Output columns [px], int64 `[n]`.
        channel: int64 `[n]`.

    Returns:
        float32 `[n]`, 0..255.
    """
    top, left = rows.first[y], columns.first[x]
    bottom, right = np.minimum(top + 1, rows.size - 1), np.minimum(left + 1, columns.size - 1)
    (top_weight, bottom_weight), (left_weight, right_weight) = rows.weights[y].T, columns.weights[x].T

    value = (top_weight * right_weight) * image[top, right, channel]
    for row, column, weight in (
        (top, left, top_weight * left_weight),
        (bottom, left, bottom_weight * left_weight),
        (bottom, right, bottom_weight * right_weight),
    ):
        term = weight.astype(np.float64) * image[row, column, channel]
        value = (term + value).astype(np.float32)
    return value


def remap_is_exact() -> bool:
    """Whether this OpenCV's `remap` interpolates in float32; older ones round positions to 1/32 px."""
    ramp = np.zeros((2, 2, 4), np.float32)
    ramp[:, 1] = 255
    x, y = np.array([[1 / 3]], np.float32), np.zeros((1, 1), np.float32)
    sampled = cv2.remap(ramp, x, y, cv2.INTER_LINEAR)
    return float(np.abs(sampled - 85).max()) < 1e-3
