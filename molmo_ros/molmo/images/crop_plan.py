"""Everything about the processing of an image that depends only on its size, made once per size and kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.resize import (
    COLUMN_BLOCK,
    AxisWeights,
    Block,
    antialias_weights,
    bilinear_weights,
    blocks,
)
from molmo_ros.molmo.images.tiling import (
    NO_TILES,
    mosaic_patches,
    patch_coverage,
    pooling_table,
    select_tiling,
    token_positions,
)

BAND_VALUES = 1 << 19
"""Values of the image and of the canvas that are held as floats at a time: enough for few and long matrix
products, and yet all at hand in the cache. Bounds the memory that a large image takes."""


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
class View:
    """How to make one canvas: the global view, or the mosaic that the tiles are cut from.

    Attributes:
        height: Of the canvas [px].
        width: Of the canvas [px].
        tiling: Crops (rows, columns) to cut from it.
        first_crop: Number of its first crop.
        rows: Weights from the image's rows to the canvas's.
        columns: Weights from the image's columns to the canvas's.
        bands: The canvas from top to bottom.
        column_blocks: `columns` in blocks, for rows of interleaved channels; "padded": times 1 / (255 std).
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


@dataclass(frozen=True)
class CropPlan:
    """Crops, canvases and tables for images of one size. Shared between calls: its arrays are read-only.

    Attributes:
        tiling: Tiles (rows, columns).
        crops: How many crops, the global view included.
        views: The global view and, unless it would be the same, the mosaic of the tiles.
        low_res_grid: Tokens (rows, columns) of the global view.
        high_res_grid: Tokens (rows, columns) of the mosaic; (0, 0) without tiles.
        masks: See `tiling.patch_coverage`; None for "stretched".
        input_idx: See `tiling.token_positions`; None for "stretched".
        pooling: See `tiling.pooling_table`; None for "padded".
        mosaic: See `tiling.mosaic_patches`; None for "padded".
    """

    tiling: tuple[int, int]
    crops: int
    views: tuple[View, ...]
    low_res_grid: tuple[int, int]
    high_res_grid: tuple[int, int]
    masks: np.ndarray | None = None
    input_idx: np.ndarray | None = None
    pooling: np.ndarray | None = None
    mosaic: np.ndarray | None = None


@lru_cache(maxsize=16)
def plan_crops(config: ImageProcessorConfig, height: int, width: int) -> CropPlan:
    """The plan for images of `height` x `width` [px].

    Raises:
        ImageError: The size has no pixels, or is so narrow a strip that nothing of it would be left.
    """
    if height < 1 or width < 1:
        raise ImageError(f"The image has no pixels: its size is {height} x {width} (height x width).")
    grid = config.grid
    tiling = select_tiling(height, width, grid)
    canvases = [((grid.crop_size, grid.crop_size), (1, 1), 0)]
    if tiling not in (NO_TILES, (1, 1)):
        rows, columns = grid.mosaic(tiling)
        canvases.append(((rows * grid.patch_size, columns * grid.patch_size), tiling, 1))

    weights, inside = [], (slice(0), slice(0))
    for canvas, _, _ in canvases:
        if config.style == "padded":
            inside = fit_inside((height, width), canvas)
            weights.append(
                [
                    antialias_weights(size, span.stop - span.start).padded(span.start, out - span.stop)
                    for size, span, out in zip((height, width), inside, canvas, strict=True)
                ]
            )
        else:
            weights.append(
                [bilinear_weights(size, out) for size, out in zip((height, width), canvas, strict=True)]
            )
    scale = np.ones(3) if config.style == "stretched" else 1 / (255 * np.array(config.std))

    views = tuple(
        View(
            *canvas,
            tiling=tiles,
            first_crop=first,
            rows=rows,
            columns=columns,
            bands=_bands(rows, width, canvas[1], config),
            column_blocks=blocks(columns.interleaved(scale), COLUMN_BLOCK),
            dyadic=all(bool((axis.weights * 128 % 1 == 0).all()) for axis in (rows, columns)),
        )
        for (canvas, tiles, first), (rows, columns) in zip(canvases, weights, strict=True)
    )
    plan = CropPlan(
        tiling=tiling,
        crops=1 + tiling[0] * tiling[1],
        views=views,
        low_res_grid=grid.pooled((grid.patches, grid.patches)),
        high_res_grid=NO_TILES if tiling == NO_TILES else grid.pooled(grid.mosaic(tiling)),
        masks=patch_coverage(inside, tiling, grid) if config.style == "padded" else None,
        input_idx=token_positions(tiling, grid) if config.style == "padded" else None,
        pooling=pooling_table(tiling, grid) if config.style == "stretched" else None,
        mosaic=mosaic_patches(tiling, grid) if config.style == "stretched" else None,
    )
    for table in (plan.masks, plan.input_idx, plan.pooling, plan.mosaic):
        if table is not None:
            table.flags.writeable = False
    return plan


def _bands(
    rows: AxisWeights, width: int, canvas_width: int, config: ImageProcessorConfig
) -> tuple[Band, ...]:
    """`View.bands`, of as many rows of patches as `BAND_VALUES` allows, but at least two."""
    canvas_height, patch = len(rows.first), config.patch_size
    values = 3 * max(width * rows.size, canvas_width * canvas_height)
    height = patch * max(2, BAND_VALUES * canvas_height // (values * patch))
    bands = []
    for top in range(0, canvas_height, height):
        part = rows.band(top, top + height)
        lines = part.lines_read()
        used = np.flatnonzero(part.weights.any(axis=1))
        inside = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)
        part = part.reading(lines)
        positions = part.positions[:, None] if config.style == "stretched" else None
        row_blocks = blocks(part.band(inside.start, inside.stop))
        bands.append(Band(top, len(part.first), lines, inside, row_blocks, positions))
    return tuple(bands)


def fit_inside(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of a canvas that an image fills, centred, at its own aspect ratio (0924 family).

    The new size is truncated in float32, as in the reference (hub image_preprocessing_molmo.py).
    """
    scale = min(np.float32(out) / np.float32(length) for out, length in zip(canvas, size, strict=True))
    new = [int(np.float32(length) * scale) for length in size]
    if min(new) < 1:
        raise ImageError(
            f"The image is too narrow a strip: {size[0]} x {size[1]} (height x width) would be resized to "
            f"{new[0]} x {new[1]}. Crop it first."
        )
    start = [(out - length) // 2 for out, length in zip(canvas, new, strict=True)]
    return slice(start[0], start[0] + new[0]), slice(start[1], start[1] + new[1])
