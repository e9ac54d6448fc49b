# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which crops an image is cut into, and which patches and tokens they become. Pure geometry: no pixels.

A crop is `crop_size` pixels square, `patches` patches a side. Neighbouring crops overlap: a tile owns the
patches of its window, plus a margin where it lies at the border of the image. The owned patches of all tiles,
read row by row over the whole image, are the mosaic that the high-resolution tokens come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

NO_TILES = (0, 0)
"""The tiling of a picture that is looked at whole only, as frames of a video are."""


@dataclass(frozen=True)
class CropGrid:
    """Sizes of one crop.

    Attributes:
        crop_size: Side of a crop [px].
        patch_size: Side of a patch [px].
        margins: Patches discarded at the (top and left, bottom and right) of a tile with a neighbour there.
        pool: Patches pooled into one token, (rows, columns).
        max_crops: Most tiles of one image; the global view comes on top. 0: no tiles.
    """

    crop_size: int
    patch_size: int
    margins: tuple[int, int]
    pool: tuple[int, int]
    max_crops: int

    @property
    def patches(self) -> int:
        """Patches along a side of a crop."""
        return self.crop_size // self.patch_size

    @property
    def window(self) -> int:
        """Patches between the origins of neighbouring tiles."""
        return self.patches - sum(self.margins)

    def mosaic(self, tiling: tuple[int, int]) -> tuple[int, int]:
        """Patches (rows, columns) of the whole image cut into `tiling` tiles."""
        rows, columns = tiling
        return rows * self.window + sum(self.margins), columns * self.window + sum(self.margins)

    def pooled(self, patches: tuple[int, int]) -> tuple[int, int]:
        """Tokens (rows, columns) of a grid of patches; a part of a pooling window counts as one."""
        return -(-patches[0] // self.pool[0]), -(-patches[1] // self.pool[1])


def select_tiling(height: int, width: int, grid: CropGrid) -> tuple[int, int]:
    """Rows and columns of tiles for an image: the least upscaling, or else the least downscaling; or `NO_TILES`.

    All comparisons are in float32, as in the reference (hub image_preprocessing_molmo.py; the same rule in
    image_processing_molmo2.py). A side shorter than the margins gives a negative scale, which ends in one
    tile.

    Args:
        height: Image height [px].
        width: Image width [px].
        grid: Crop sizes.
    """
    most = grid.max_crops
    if not most:
        return NO_TILES
    tilings, scale = _tilings(most), _scales(height, width, grid)
    best = scale.argmax() if (scale < 1).all() else np.where(scale < 1, np.float32(1e10), scale).argmin()
    rows, columns = tilings[best].tolist()
    return rows, columns


def distinct_tilings(height: int, width: int, grid: CropGrid) -> list[tuple[int, tuple[int, int]]]:
    """What `select_tiling` gives under limits from 1 to `grid.max_crops`, rising.

    The tilings are sorted by their number of tiles, so a limit sees the first so many of them, and the choice changes
    at every tiling that is better than all before it.

    Args:
        height: Image height [px].
        width: Image width [px].
        grid: Crop sizes; `max_crops` at least 1.

    Returns:
        The lowest limit that gives it, and the tiling.
    """
    tilings, scale = _tilings(grid.max_crops), _scales(height, width, grid)
    covers = np.flatnonzero(scale >= 1)
    first = covers[0] if len(covers) else len(scale)
    # From the first that covers the image on, what does not cover it is out of the question.
    shrunk, enlarged = scale[:first], np.where(scale[first:] < 1, np.float32(np.inf), scale[first:])
    changes = np.concatenate([_records(shrunk), first + _records(-enlarged)])
    return list(
        {int(rows * columns): (int(rows), int(columns)) for rows, columns in tilings[changes]}.items()
    )


def _records(values: np.ndarray) -> np.ndarray:
    """Where a value is above all before it; the first always is."""
    above = values[1:] > np.maximum.accumulate(values)[:-1]
    return np.flatnonzero(np.concatenate([np.ones(min(len(values), 1), bool), above]))


@lru_cache(maxsize=16)
def _tilings(most: int) -> np.ndarray:
    """All of up to `most` tiles, int64 [n, 2], by the number of tiles and then of rows."""
    pairs = [(rows, columns) for rows in range(1, most + 1) for columns in range(1, most // rows + 1)]
    tilings = np.array(sorted(pairs, key=lambda tiling: (tiling[0] * tiling[1], tiling[0])))
    tilings.flags.writeable = False
    return tilings


def _scales(height: int, width: int, grid: CropGrid) -> np.ndarray:
    """By how much the image grows to fill each of `_tilings`, float32 [n]."""
    margin = sum(grid.margins) * grid.patch_size
    targets = _tilings(grid.max_crops).astype(np.float32) * np.float32(grid.window * grid.patch_size)
    with np.errstate(divide="ignore"):
        return (targets / np.array([height - margin, width - margin], np.float32)).min(axis=1)


def _kept(tile: int, tiles: int, size: int, before: int, after: int) -> slice:
    """What a tile owns along one axis of `size` cells: all but the margins that face another tile."""
    return slice(0 if tile == 0 else before, size if tile == tiles - 1 else size - after)


def token_positions(tiling: tuple[int, int], grid: CropGrid) -> np.ndarray:
    """Where each pooled cell of each crop lands among the image tokens (0924 family).

    The tokens are `<im_start>`, the global view's rows each closed by `<im_col>`, `<im_end>`, and the same
    again for the mosaic. Cells in a discarded margin get -100.

    Args:
        tiling: Rows and columns of tiles.
        grid: Crop sizes; patches, margins and window must be multiples of the pooling.

    Returns:
        int64 `[1 + tiles, pooled cells]`, the first image token being 0.
    """
    cell_rows, cell_columns = grid.pooled((grid.patches, grid.patches))
    rows, columns = np.arange(cell_rows)[:, None], np.arange(cell_columns)[None, :]
    mosaic_columns = grid.pooled(grid.mosaic(tiling))[1]
    first = 2 + cell_rows * (cell_columns + 1) + 1

    positions = np.full((1 + tiling[0] * tiling[1], cell_rows, cell_columns), -100, np.int64)
    positions[0] = 1 + rows * (cell_columns + 1) + columns
    (pool_rows, pool_columns), (before, after) = grid.pool, grid.margins
    for i in range(tiling[0]):
        for j in range(tiling[1]):
            mosaic_row = i * (grid.window // pool_rows) + rows
            mosaic_column = j * (grid.window // pool_columns) + columns
            kept = (
                _kept(i, tiling[0], cell_rows, before // pool_rows, after // pool_rows),
                _kept(j, tiling[1], cell_columns, before // pool_columns, after // pool_columns),
            )
            tokens = first + mosaic_row * (mosaic_columns + 1) + mosaic_column
            positions[1 + i * tiling[1] + j][kept] = tokens[kept]
    return positions.reshape(len(positions), -1)


def patch_coverage(inside: tuple[slice, slice], tiling: tuple[int, int], grid: CropGrid) -> np.ndarray:
    """How much of each patch is image rather than padding, with the reference's shift by one crop (0924
    family).

    The reference puts the global view in front of the crops, but appends its mask, all -1, at the end of
    theirs (hub image_preprocessing_molmo.py). So crop k carries the mask of tile k, counted from 0, and the
    last tile carries -1. The released models were trained like this.

    Args:
        inside: Rows and columns [px] of the canvas that hold the image.
        tiling: Rows and columns of tiles.
        grid: Crop sizes.

    Returns:
        float32 `[1 + tiles, patches per crop]`.
    """
    side, patch = grid.patches, grid.patch_size
    covered = []
    for cells, pixels in zip(grid.mosaic(tiling), inside, strict=True):
        line = np.zeros(cells * patch, np.float32)
        line[pixels] = 1
        covered.append(line.reshape(cells, patch).sum(axis=1))
    mosaic = np.outer(*covered) / np.float32(patch * patch)

    masks = np.full((1 + tiling[0] * tiling[1], side, side), -1, np.float32)
    for i in range(tiling[0]):
        for j in range(tiling[1]):
            row, column = i * grid.window, j * grid.window
            masks[i * tiling[1] + j] = mosaic[row : row + side, column : column + side]
    return masks.reshape(len(masks), -1)


def mosaic_patches(tiling: tuple[int, int], grid: CropGrid) -> np.ndarray:
    """The patches of the tiles, row by row over the whole image; of the global view where there are no tiles.

    Patches are numbered through all crops, the global view's being first (image_processing_molmo2.py,
    `patch_idx_arr`).

    Args:
        tiling: Rows and columns of tiles.
        grid: Crop sizes.

    Returns:
        int64 `grid.mosaic(tiling)`; without tiles that of one crop.
    """
    side = grid.patches
    crop = np.arange(side * side, dtype=np.int64).reshape(side, side)
    if tiling == NO_TILES:
        return crop
    mosaic = np.empty(grid.mosaic(tiling), np.int64)
    for i in range(tiling[0]):
        for j in range(tiling[1]):
            kept = (_kept(i, tiling[0], side, *grid.margins), _kept(j, tiling[1], side, *grid.margins))
            row, column = i * grid.window, j * grid.window
            numbers = crop + (1 + i * tiling[1] + j) * side * side
            mosaic[
                row + kept[0].start : row + kept[0].stop, column + kept[1].start : column + kept[1].stop
            ] = numbers[kept]
    return mosaic


def pooling_table(tiling: tuple[int, int], grid: CropGrid) -> np.ndarray:
    """Which patches each image token pools, the global view's tokens first (Molmo2 family).

    Patches are numbered as in `mosaic_patches`. A window may straddle tiles, since a tile owns an odd number
    of lines (image_processing_molmo2.py, transformers and hub).

    Args:
        tiling: Rows and columns of tiles.
        grid: Crop sizes.

    Returns:
        int64 `[tokens, pooled patches]`; -1 beyond the edge of the grid.
    """
    side = grid.patches
    whole = np.arange(side * side, dtype=np.int64).reshape(side, side)
    views = [whole] if tiling == NO_TILES else [whole, mosaic_patches(tiling, grid)]
    return np.concatenate([_pooling_windows(view, grid) for view in views])


def _pooling_windows(numbers: np.ndarray, grid: CropGrid) -> np.ndarray:
    """Groups a grid of patch numbers into pooling windows, the odd line of -1s at the bottom and right."""
    rows, columns = grid.pooled(numbers.shape)
    (pool_rows, pool_columns) = grid.pool
    missing = (rows * pool_rows - numbers.shape[0], columns * pool_columns - numbers.shape[1])
    padding = [(gap // 2, gap - gap // 2) for gap in missing]
    windows = np.pad(numbers, padding, constant_values=-1).reshape(rows, pool_rows, columns, pool_columns)
    return windows.transpose(0, 2, 1, 3).reshape(rows * columns, pool_rows * pool_columns)
