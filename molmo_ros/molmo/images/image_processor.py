# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From an RGB image to what the vision tower takes: crops cut into patches, and the tables that place their
tokens.

Every model looks at an image twice: once whole, squeezed into one crop (the global view), and once at a
higher resolution in overlapping tiles. There are two styles of resizing (padded_style.py, stretched_style.py).

Everything that depends only on the size of the image is made once per size and kept (crop_plan.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.images.crop_plan import CropPlan, plan_crops
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig


@dataclass(frozen=True)
class ProcessedImage:
    """One image, ready for the model. The arrays belong to the caller.

    Attributes:
        patches: `[1 + tiles, patches, patch_size * patch_size * 3]`, the global view first, tiles and patches row by
            row; a patch is flattened as (row, column, channel). Stretched style: uint8, as resized. Padded style:
            float32, normalised.
        colours: What normalises uint8 patches: float32 `[2, patch_size * patch_size * 3]`, mean and standard
            deviation of each value of a patch, of values in 0..1. None where patches are normalised.
        masks: Padded style only: float32 `[1 + tiles, patches]`, see `tiling.patch_coverage`.
        input_idx: Padded style only: int64 `[1 + tiles, pooled cells]`, the image token that each pooled cell is
            added to, counted from the first image token (add 1 for BOS); -100 for cells that are dropped.
        pooling: Stretched style only: int64 `[tokens, pooled patches]`, patches numbered through all crops; -1 is
            none.
        mosaic: Stretched style only: int64 `[rows, columns]`, the patches that cover the image, numbered as in
            `pooling`; those of the global view are not among them.
        low_res_grid: Tokens (rows, columns) of the global view.
        high_res_grid: Tokens (rows, columns) of the tiles' mosaic; (0, 0) without tiles.
        tiling: Tiles (rows, columns).
        image_size: (height, width) of the image [px].
        single_view: Whether `patches[1]` is bit for bit `patches[0]`, so that the vision tower need see only one.
    """

    patches: np.ndarray
    colours: np.ndarray | None
    masks: np.ndarray | None
    input_idx: np.ndarray | None
    pooling: np.ndarray | None
    mosaic: np.ndarray | None
    low_res_grid: tuple[int, int]
    high_res_grid: tuple[int, int]
    tiling: tuple[int, int]
    image_size: tuple[int, int]
    single_view: bool

    @property
    def crops(self) -> np.ndarray:
        """`patches`, normalised: float32, made anew at every call where patches are not."""
        if self.colours is None:
            return self.patches
        mean, std = self.colours
        values = self.patches.astype(np.float32)
        values /= np.float32(255)
        values -= mean
        values /= std
        return values


class ImageProcessor:
    """Cuts images into crops and patches as one checkpoint expects.

    Args:
        config: The checkpoint's constants.
    """

    def __init__(self, config: ImageProcessorConfig) -> None:
        self.config = config
        self._fill = config.style.filler(config.grid, config.mean, config.std)
        self._colours: np.ndarray | None = None
        if config.style.eight_bits:
            self._colours = np.tile(np.array([config.mean, config.std], np.float32), config.patch_size**2)

    def __call__(self, image: np.ndarray) -> ProcessedImage:
        """Processes one image.

        Args:
            image: uint8 RGB `[h, w, 3]`; any strides.

        Raises:
            ImageError: Another type or shape, no pixels, or a strip so narrow that nothing of it would be
                left.
        """
        plan = self.plan(image)
        grid = self.config.grid
        dtype = np.uint8 if self.config.style.eight_bits else np.float32
        patches = np.empty((plan.crops, grid.patches**2, grid.patch_size**2 * 3), dtype)
        self._fill(image, plan.canvases, patches)
        single_view = plan.tiling == (1, 1)
        if single_view:
            patches[1] = patches[0]
        return ProcessedImage(
            patches=patches,
            colours=_copy(self._colours),
            masks=_copy(plan.tables.masks),
            input_idx=_copy(plan.tables.input_idx),
            pooling=_copy(plan.tables.pooling),
            mosaic=_copy(plan.tables.mosaic),
            low_res_grid=plan.low_res_grid,
            high_res_grid=plan.high_res_grid,
            tiling=plan.tiling,
            image_size=(image.shape[0], image.shape[1]),
            single_view=single_view,
        )

    def plan(self, image: np.ndarray) -> CropPlan:
        """How one image will be cut, without cutting it. Arguments and errors as of a call."""
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
            raise ImageError(f"The image must be a uint8 array, not {found}.")
        if image.ndim != 3 or image.shape[2] != 3:
            raise ImageError(f"The image must have shape [height, width, 3] (RGB), not {list(image.shape)}.")
        return plan_crops(self.config, image.shape[0], image.shape[1])


def _copy(table: np.ndarray | None) -> np.ndarray | None:
    return None if table is None else table.copy()
