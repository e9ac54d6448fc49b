"""From an RGB image to what the vision tower takes: crops cut into patches, and the tables that place their tokens.

Both families look at an image twice: once whole, squeezed into one crop (the global view), and once at a higher
resolution in overlapping tiles. They differ in how they resize:

* "molmo" (the September 2024 models) keeps the aspect ratio, resizes with antialiasing and pads to the tiles.
* "molmo2" stretches to the tiles without antialiasing and rounds back to 8 bits.

Everything that depends only on the size of the image is made once per size and kept (crop_plan.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from molmo_ros.molmo.crop_plan import CropPlan, View, plan_crops
from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.resize import bilinear_pixels, resize_columns, resize_rows

__all__ = ["ImageProcessor", "ImageProcessorConfig", "ProcessedImage"]

CHUNK_VALUES = 1 << 20
"""Float values of the source image held at a time: small enough for the cache, and bounds the memory."""
NEAR_HALF = 2e-4
"""A resized value this close to a half may round either way, depending on the order of float32 operations; each
order stays within 1e-4 of the true value."""


@dataclass(frozen=True)
class ProcessedImage:
    """One image, ready for the model. The arrays belong to the caller.

    Attributes:
        crops: float32 `[1 + tiles, patches, patch_size * patch_size * 3]`, normalised, the global view first, tiles
            and patches row by row; a patch is flattened as (row, column, channel).
        masks: "molmo" only: float32 `[1 + tiles, patches]`, see `tiling.patch_coverage`.
        input_idx: "molmo" only: int64 `[1 + tiles, pooled cells]`, the image token that each pooled cell is added
            to, counted from the first image token (add 1 for BOS); -100 for cells that are dropped.
        pooling: "molmo2" only: int64 `[tokens, pooled patches]`, patches numbered through all crops; -1 is none.
        low_res_grid: Tokens (rows, columns) of the global view.
        high_res_grid: Tokens (rows, columns) of the tiles' mosaic.
        tiling: Tiles (rows, columns).
        image_size: (height, width) of the image [px].
        single_view: Whether `crops[1]` is bit for bit `crops[0]`, so that the vision tower need see only one.
    """

    crops: np.ndarray
    masks: np.ndarray | None
    input_idx: np.ndarray | None
    pooling: np.ndarray | None
    low_res_grid: tuple[int, int]
    high_res_grid: tuple[int, int]
    tiling: tuple[int, int]
    image_size: tuple[int, int]
    single_view: bool


class ImageProcessor:
    """Cuts images into crops and patches as one checkpoint expects.

    Args:
        config: The checkpoint's constants.
    """

    def __init__(self, config: ImageProcessorConfig) -> None:
        self.config = config
        mean, std = np.array(config.mean, np.float64), np.array(config.std, np.float64)
        self._scale, self._offset = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
        values = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
        self._normalised = ((values - mean.astype(np.float32)) / std.astype(np.float32)).reshape(1, 256, 3)

    def __call__(self, image: np.ndarray) -> ProcessedImage:
        """Processes one image.

        Args:
            image: uint8 RGB `[h, w, 3]`; any strides.

        Raises:
            ImageError: Another type or shape, no pixels, or a strip so narrow that nothing of it would be left.
        """
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
            raise ImageError(f"The image must be a uint8 array, not {found}.")
        if image.ndim != 3 or image.shape[2] != 3:
            raise ImageError(f"The image must have shape [height, width, 3] (RGB), not {list(image.shape)}.")
        plan = plan_crops(self.config, image.shape[0], image.shape[1])
        grid = self.config.grid
        crops = np.empty((plan.crops, grid.patches**2, grid.patch_size**2 * 3), np.float32)
        if self.config.family == "molmo":
            self._fill_padded(image, plan, crops)
        else:
            self._fill_rounded(image, plan, crops)
        single_view = plan.tiling == (1, 1)
        if single_view:
            crops[1] = crops[0]
        return ProcessedImage(
            crops=crops,
            masks=None if plan.masks is None else plan.masks.copy(),
            input_idx=None if plan.input_idx is None else plan.input_idx.copy(),
            pooling=None if plan.pooling is None else plan.pooling.copy(),
            low_res_grid=plan.low_res_grid,
            high_res_grid=plan.high_res_grid,
            tiling=plan.tiling,
            image_size=(image.shape[0], image.shape[1]),
            single_view=single_view,
        )

    def token_count(self, height: int, width: int) -> int:
        """Image tokens of an image of this size [px], start, end and column tokens included, BOS not.

        Raises:
            ImageError: As for an image of this size.
        """
        plan = plan_crops(self.config, height, width)
        (low_rows, low_columns), (high_rows, high_columns) = plan.low_res_grid, plan.high_res_grid
        low = low_rows * (low_columns + self.config.low_res_columns)
        return low + 2 + high_rows * (high_columns + 1) + 2

    def _fill_padded(self, image: np.ndarray, plan: CropPlan, crops: np.ndarray) -> None:
        """0924: resized in float and normalised; padding is black before normalisation."""
        for view, planes in zip(plan.views, _resize(image, plan), strict=True):
            planes *= self._scale[:, None, None]
            planes += self._offset[:, None, None]
            self._cut(cv2.merge(list(planes)), view, crops)

    def _fill_rounded(self, image: np.ndarray, plan: CropPlan, crops: np.ndarray) -> None:
        """Molmo2: resized, rounded to 8 bits, and normalised through a table of 256 values."""
        patches = np.empty(crops.shape, np.uint8)
        for view, planes in zip(plan.views, _resize(image, plan), strict=True):
            self._cut(cv2.merge(list(_round(planes, image, view))), view, patches)
        pixels = (crops.shape[0] * crops.shape[1], crops.shape[2] // 3, 3)
        cv2.LUT(patches.reshape(pixels), self._normalised, dst=crops.reshape(pixels))

    def _cut(self, canvas: np.ndarray, view: View, crops: np.ndarray) -> None:
        """Copies the patches of a `[h, w, 3]` canvas to the crops that they belong to."""
        grid = self.config.grid
        side, patch, step = grid.patches, grid.patch_size, grid.window * grid.patch_size
        for i in range(view.tiling[0]):
            for j in range(view.tiling[1]):
                crop = canvas[i * step : i * step + grid.crop_size, j * step : j * step + grid.crop_size]
                by_patch = crop.reshape(side, patch, side, patch * 3).transpose(0, 2, 1, 3)
                crops[view.first_crop + i * view.tiling[1] + j].reshape(by_patch.shape)[...] = by_patch




def _resize(image: np.ndarray, plan: CropPlan) -> list[np.ndarray]:
    """The image at the size of each view: float32 `[3, height, width]`, 0..255, padding 0."""
    width, lines = image.shape[1], plan.lines
    narrowed = [np.empty((3, len(lines), view.width), np.float32) for view in plan.views]
    step = max(1, CHUNK_VALUES // (3 * width))
    for start in range(0, len(lines), step):
        chunk = lines[start : start + step]
        every = len(chunk) == chunk[-1] - chunk[0] + 1
        rows = np.ascontiguousarray(image[chunk[0] : chunk[-1] + 1] if every else image[chunk])
        planes = np.empty((3, *rows.shape[:2]), np.float32)
        for channel, plane in enumerate(cv2.split(rows)):
            planes[channel] = plane
        for view, out in zip(plan.views, narrowed, strict=True):
            resize_columns(planes, view.column_blocks, out[:, start : start + step])
    resized = []
    for view, planes in zip(plan.views, narrowed, strict=True):
        out = np.empty((3, view.height, view.width), np.float32)
        resize_rows(planes, view.row_blocks, out)
        resized.append(out)
    return resized


def _round(planes: np.ndarray, image: np.ndarray, view: View) -> np.ndarray:
    """Rounds resized planes to uint8 as the reference does, half to even, whatever the order of operations here."""
    flat = planes.reshape(-1, view.width)
    if view.dyadic:
        return cv2.convertScaleAbs(flat).reshape(planes.shape)
    rounded = cv2.convertScaleAbs(flat, alpha=1, beta=NEAR_HALF)
    unsure = np.flatnonzero(rounded != cv2.convertScaleAbs(flat, alpha=1, beta=-NEAR_HALF))
    if len(unsure):
        channel, y, x = np.unravel_index(unsure, planes.shape)
        rounded.ravel()[unsure] = np.rint(bilinear_pixels(image, view.rows, view.columns, y, x, channel))
    return rounded.reshape(planes.shape)
