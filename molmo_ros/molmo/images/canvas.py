# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Canvases: an image resized to the global view, or to the mosaic that the tiles are cut from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from molmo_ros.molmo.images.resize import (
    COLUMN_BLOCK,
    AxisWeights,
    Block,
    blocks,
    resize_columns,
    resize_rows,
)
from molmo_ros.molmo.images.tiling import CropGrid

BAND_VALUES = 1 << 19
"""Values of the image and of the canvas that are held as floats at a time: enough for few and long matrix
products, and yet all at hand in the cache. Bounds the memory that a large image takes."""


class Placement(NamedTuple):
    """How an image comes onto a canvas.

    Attributes:
        rows: Weights from the image's rows to the canvas's.
        columns: Weights from the image's columns to the canvas's.
        inside: Rows and columns [px] of the canvas that hold the image; the others are padding.
    """

    rows: AxisWeights
    columns: AxisWeights
    inside: tuple[slice, slice]


@dataclass(frozen=True)
class Band:
    """Some of a canvas's rows of patches, and what they are made from.

    Attributes:
        top: First row of the canvas [px].
        height: Rows of the canvas [px].
        lines: The image's rows that are read, sorted.
        inside: Which of the band's rows hold some of the image; the others are padding.
        row_blocks: Weights from `lines` to the rows `inside`.
        positions: Where among `lines` the band's rows are sampled [px], float32 `[height, 1]`. Only without
            antialiasing.
    """

    top: int
    height: int
    lines: np.ndarray
    inside: slice
    row_blocks: tuple[Block, ...]
    positions: np.ndarray | None


@dataclass(frozen=True)
class Canvas:
    """How to make one canvas: the global view, or the mosaic that the tiles are cut from.

    Attributes:
        height: Of the canvas [px].
        width: Of the canvas [px].
        tiling: Crops (rows, columns) to cut from it.
        first_crop: Number of its first crop.
        rows: Weights from the image's rows to the canvas's.
        columns: Weights from the image's columns to the canvas's.
        bands: The canvas from top to bottom.
        column_blocks: `columns` in blocks, for rows of interleaved channels, each times its scale.
        dyadic: Whether all weights are multiples of 1/128, which makes float32 resizing of 8-bit values
            exact.
    """

    height: int
    width: int
    tiling: tuple[int, int]
    first_crop: int
    rows: AxisWeights
    columns: AxisWeights
    bands: tuple[Band, ...]
    column_blocks: tuple[Block, ...]
    dyadic: bool


def make_canvas(
    tiling: tuple[int, int],
    first_crop: int,
    placement: Placement,
    scale: np.ndarray,
    patch: int,
    sampled: bool,
) -> Canvas:
    """A canvas for images of one size.

    Args:
        tiling: Crops (rows, columns) to cut from it.
        first_crop: Number of its first crop.
        placement: How an image comes onto it.
        scale: What each channel (RGB) is multiplied by.
        patch: Side of a patch [px].
        sampled: Whether it is sampled without antialiasing, at `Band.positions`.
    """
    rows, columns, _ = placement
    width = len(columns.first)
    return Canvas(
        height=len(rows.first),
        width=width,
        tiling=tiling,
        first_crop=first_crop,
        rows=rows,
        columns=columns,
        bands=_bands(rows, columns.size, width, patch, sampled),
        column_blocks=blocks(columns.interleaved(scale), COLUMN_BLOCK),
        dyadic=all(bool((axis.weights * 128 % 1 == 0).all()) for axis in (rows, columns)),
    )


def _bands(rows: AxisWeights, width: int, canvas_width: int, patch: int, sampled: bool) -> tuple[Band, ...]:
    """`Canvas.bands`, of as many rows of patches as `BAND_VALUES` allows, but at least two."""
    canvas_height = len(rows.first)
    values = 3 * max(width * rows.size, canvas_width * canvas_height)
    height = patch * max(2, BAND_VALUES * canvas_height // (values * patch))
    bands = []
    for top in range(0, canvas_height, height):
        part = rows.band(top, top + height)
        lines = part.lines_read()
        used = np.flatnonzero(part.weights.any(axis=1))
        inside = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)
        part = part.reading(lines)
        positions = part.positions[:, None] if sampled else None
        row_blocks = blocks(part.band(inside.start, inside.stop))
        bands.append(Band(top, len(part.first), lines, inside, row_blocks, positions))
    return tuple(bands)


def resized_bands(image: np.ndarray, canvas: Canvas) -> Iterator[tuple[Band, np.ndarray]]:
    """A canvas's bands, top to bottom: float32 `[height, width * 3]`, one buffer for all; padding is 0."""
    values, height = image.shape[1] * 3, canvas.bands[0].height
    source = np.empty((max(len(band.lines) for band in canvas.bands), values), np.float32)
    shortened = np.empty((height, values), np.float32)
    resized = np.empty((height, canvas.width * 3), np.float32)
    for band in canvas.bands:
        pixels, lines = resized[: band.height], source[: len(band.lines)]
        pixels[: band.inside.start] = 0
        pixels[band.inside.stop :] = 0
        if len(lines):
            rows = shortened[: band.inside.stop - band.inside.start]
            np.copyto(lines, take_rows(image, band.lines).reshape(lines.shape))
            resize_rows(lines, band.row_blocks, rows)
            resize_columns(rows, canvas.column_blocks, pixels[band.inside])
        yield band, pixels


def take_rows(image: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Chosen rows of an image (sorted), contiguous; without a copy where they follow each other."""
    span = image[lines[0] : lines[-1] + 1]
    return np.ascontiguousarray(span if len(span) == len(lines) else image[lines])


def cut(pixels: np.ndarray, top: int, canvas: Canvas, grid: CropGrid, patches: np.ndarray) -> None:
    """Copies a canvas's rows, `[n patches, width * 3]`, `top` the first [px], to the crops they belong to.

    Args:
        pixels: The rows.
        top: The first of them [px].
        canvas: What they are of.
        grid: Sizes of a crop.
        patches: `[crops, patches, patch values]` of all canvases.
    """
    side, patch = grid.patches, grid.patch_size
    by_patch = pixels.reshape(-1, patch, canvas.width // patch, patch * 3).transpose(0, 2, 1, 3)
    by_crop = patches.reshape(-1, side, side, patch, patch * 3)
    first, stop = top // patch, top // patch + len(by_patch)
    rows, columns = canvas.tiling
    for i in range(rows):
        origin = i * grid.window
        low, high = max(first, origin), min(stop, origin + side)
        if low < high:
            for j in range(columns):
                crop = by_crop[canvas.first_crop + i * columns + j]
                crop[low - origin : high - origin] = by_patch[
                    low - first : high - first, j * grid.window : j * grid.window + side
                ]
