# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Everything about the processing of an image that depends only on its size, made once per size and kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.images.canvas import Canvas, make_canvas
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.image_style import CropTables
from molmo_ros.molmo.images.tiling import NO_TILES, select_tiling


@dataclass(frozen=True)
class CropPlan:
    """Crops, canvases and tables for images of one size. Shared between calls: its arrays are read-only.

    Attributes:
        tiling: Tiles (rows, columns).
        crops: How many crops, the global view included.
        canvases: The global view and, unless it would be the same, the mosaic of the tiles.
        low_res_grid: Tokens (rows, columns) of the global view.
        high_res_grid: Tokens (rows, columns) of the mosaic; (0, 0) without tiles.
        tables: Where the patches go.
    """

    tiling: tuple[int, int]
    crops: int
    canvases: tuple[Canvas, ...]
    low_res_grid: tuple[int, int]
    high_res_grid: tuple[int, int]
    tables: CropTables


@lru_cache(maxsize=16)
def plan_crops(config: ImageProcessorConfig, height: int, width: int) -> CropPlan:
    """The plan for images of `height` x `width` [px].

    Raises:
        ImageError: The size has no pixels, or is so narrow a strip that nothing of it would be left.
    """
    if height < 1 or width < 1:
        raise ImageError(f"The image has no pixels: its size is {height} x {width} (height x width).")
    grid, style = config.grid, config.style
    tiling = select_tiling(height, width, grid)
    sizes = [((grid.crop_size, grid.crop_size), (1, 1), 0)]
    if tiling not in (NO_TILES, (1, 1)):
        rows, columns = grid.mosaic(tiling)
        sizes.append(((rows * grid.patch_size, columns * grid.patch_size), tiling, 1))
    placements = [style.place((height, width), size) for size, _, _ in sizes]
    scale = style.scale(config.std)
    return CropPlan(
        tiling=tiling,
        crops=1 + tiling[0] * tiling[1],
        canvases=tuple(
            make_canvas(tiles, first, placement, scale, grid.patch_size, style.sampled)
            for (_, tiles, first), placement in zip(sizes, placements, strict=True)
        ),
        low_res_grid=grid.pooled((grid.patches, grid.patches)),
        high_res_grid=NO_TILES if tiling == NO_TILES else grid.pooled(grid.mosaic(tiling)),
        tables=style.tables(placements[-1].inside, tiling, grid),
    )
