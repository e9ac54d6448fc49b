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
from molmo_ros.molmo.resize import apply_blocks, bilinear_pixels, remap_is_exact

__all__ = ["ImageProcessor", "ImageProcessorConfig", "ProcessedImage"]

CHUNK_VALUES = 1 << 20
"""Float values of the source image held at a time: small enough for the cache, and bounds the memory."""
BAND = 28
"""Rows of a view that are sampled at a time, for the same reason."""
NEAR_HALF = 1e-4
"""A resized value this close to a half may round either way, depending on the order of float32 operations: a handful
of roundings of at most 8e-6 each (half a unit in the last place below 256), here and in the reference."""
REMAP_IS_EXACT = remap_is_exact()
REMAP_LIMIT = 1 << 15
"""`cv2.remap` takes images up to this width [px]."""


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
        for view, canvas in zip(plan.views, _resize(image, plan), strict=True):
            lines = canvas.reshape(view.height, -1)
            lines *= np.tile(self._scale, view.width)
            lines += np.tile(self._offset, view.width)
            self._cut(canvas, view, crops)

    def _fill_rounded(self, image: np.ndarray, plan: CropPlan, crops: np.ndarray) -> None:
        """Molmo2: resized, rounded to 8 bits, and normalised through a table of 256 values."""
        patches = np.empty(crops.shape, np.uint8)
        if REMAP_IS_EXACT and image.shape[1] < REMAP_LIMIT:
            for view in plan.views:
                self._cut(_sample(image, view), view, patches)
        else:
            for view, canvas in zip(plan.views, _resize(image, plan), strict=True):
                rounded = np.empty(canvas.shape, np.uint8)
                _round(canvas, 0, image, view, rounded)
                self._cut(rounded, view, patches)
        used = 1 if plan.tiling == (1, 1) else plan.crops
        pixels = (used * crops.shape[1], crops.shape[2] // 3, 3)
        cv2.LUT(patches[:used].reshape(pixels), self._normalised, dst=crops[:used].reshape(pixels))

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
    """The image at the size of each view: float32 `[height, width, 3]`, 0..255, padding 0.

    Columns come first, a chunk of the image's rows at a time. The chunk is transposed for that, so that both axes
    are resized as the first one of a matrix with long rows.
    """
    width, lines = image.shape[1], plan.lines
    narrowed = [np.empty((len(lines), view.width, 3), np.float32) for view in plan.views]
    step = max(1, CHUNK_VALUES // (3 * width))
    for start in range(0, len(lines), step):
        rows = _take_rows(image, lines[start : start + step])
        turned = cv2.transpose(rows).astype(np.float32).reshape(width, -1)
        for view, out in zip(plan.views, narrowed, strict=True):
            columns = np.empty((view.width, turned.shape[1]), np.float32)
            apply_blocks(turned, view.column_blocks, columns)
            cv2.transpose(columns.reshape(view.width, -1, 3), dst=out[start : start + step])
    resized = []
    for view, source in zip(plan.views, narrowed, strict=True):
        out = np.empty((view.height, view.width, 3), np.float32)
        apply_blocks(source.reshape(len(lines), -1), view.row_blocks, out.reshape(view.height, -1))
        resized.append(out)
    return resized


def _sample(image: np.ndarray, view: View) -> np.ndarray:
    """The image at the size of a view without antialiasing, rounded: uint8 `[height, width, 3]`."""
    canvas = np.empty((view.height, view.width, 3), np.uint8)
    x = np.ascontiguousarray(np.broadcast_to(view.columns.positions, (BAND, view.width)))
    for start in range(0, view.height, BAND):
        band = view.rows.band(start, min(start + BAND, view.height))
        lines = band.lines_read()
        band = band.reading(lines)
        count = len(band.first)
        y = np.repeat(band.positions, view.width).reshape(count, view.width)
        source = _take_rows(image, lines).astype(np.float32)
        sampled = cv2.remap(source, x[:count], y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        _round(sampled, start, image, view, canvas[start : start + count])
    return canvas


def _take_rows(image: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Chosen rows of an image (sorted), contiguous; without a copy where they follow each other."""
    span = image[lines[0] : lines[-1] + 1]
    return np.ascontiguousarray(span if len(span) == len(lines) else image[lines])


def _round(canvas: np.ndarray, top: int, image: np.ndarray, view: View, out: np.ndarray) -> None:
    """Rounds resized values to uint8 as the reference does, half to even, whatever the order of operations here.

    Args:
        canvas: float32 `[n, width, 3]`, some rows of the view.
        top: The view's row that the first of them is [px].
        image: What they were resized from.
        view: Its weights.
        out: uint8, shape of `canvas`.
    """
    if view.dyadic:
        cv2.convertScaleAbs(canvas, dst=out)
        return
    cv2.convertScaleAbs(canvas, dst=out, beta=NEAR_HALF)
    unsure = np.flatnonzero(out != cv2.convertScaleAbs(canvas, beta=-NEAR_HALF))
    row, column = np.divmod(unsure, 3 * view.width)
    x, channel = np.divmod(column, 3)
    out.ravel()[unsure] = np.rint(bilinear_pixels(image, view.rows, view.columns, top + row, x, channel))
