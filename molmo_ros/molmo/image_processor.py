"""From an RGB image to what the vision tower takes: crops cut into patches, and the tables that place their
tokens.

Both families look at an image twice: once whole, squeezed into one crop (the global view), and once at a
higher resolution in overlapping tiles. They differ in how they resize:

* "molmo" (the September 2024 models) keeps the aspect ratio, resizes with antialiasing and pads to the tiles.
* "molmo2" stretches to the tiles without antialiasing and rounds back to 8 bits.

Everything that depends only on the size of the image is made once per size and kept (crop_plan.py).
"""

from __future__ import annotations

from collections.abc import Iterator
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
NEAR_HALF = 1e-4
"""A resized value this close to a half may round either way, depending on the order of float32 operations: a
handful of roundings of at most 8e-6 each (half a unit in the last place below 256), here and in the
reference."""
REMAP_IS_EXACT = remap_is_exact()
REMAP_LIMIT = 1 << 15
"""`cv2.remap` takes images up to this width [px]."""


@dataclass(frozen=True)
class ProcessedImage:
    """One image, ready for the model. The arrays belong to the caller.

    Attributes:
        crops: float32 `[1 + tiles, patches, patch_size * patch_size * 3]`, normalised, the global view first,
            tiles and patches row by row; a patch is flattened as (row, column, channel).
        masks: "molmo" only: float32 `[1 + tiles, patches]`, see `tiling.patch_coverage`.
        input_idx: "molmo" only: int64 `[1 + tiles, pooled cells]`, the image token that each pooled cell is
            added to, counted from the first image token (add 1 for BOS); -100 for cells that are dropped.
        pooling: "molmo2" only: int64 `[tokens, pooled patches]`, patches numbered through all crops; -1 is
            none.
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
        normalised: np.ndarray = (values - mean.astype(np.float32)) / std.astype(np.float32)
        alike = len(set(zip(config.mean, config.std, strict=True))) == 1
        self._normalised = np.ascontiguousarray(normalised[:, :1] if alike else normalised).reshape(
            1, 256, -1
        )

    def __call__(self, image: np.ndarray) -> ProcessedImage:
        """Processes one image.

        Args:
            image: uint8 RGB `[h, w, 3]`; any strides.

        Raises:
            ImageError: Another type or shape, no pixels, or a strip so narrow that nothing of it would be
                left.
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
        for view, columns in zip(plan.views, _resize_columns(image, plan), strict=True):
            scale, offset = np.tile(self._scale, view.width), np.tile(self._offset, view.width)
            for number, strip in enumerate(_resize_rows(columns, view)):
                strip *= scale
                strip += offset
                self._cut(strip, number, view, crops)

    def _fill_rounded(self, image: np.ndarray, plan: CropPlan, crops: np.ndarray) -> None:
        """Molmo2: resized, rounded to 8 bits, and normalised through a table of 256 values."""
        patches = np.empty(crops.shape, np.uint8)
        patch = self.config.patch_size
        if REMAP_IS_EXACT and image.shape[1] < REMAP_LIMIT:
            sources = [_sample(image, view) for view in plan.views]
        else:
            sources = [
                _resize_rows(columns, view)
                for view, columns in zip(plan.views, _resize_columns(image, plan), strict=True)
            ]
        for view, strips in zip(plan.views, sources, strict=True):
            for number, strip in enumerate(_round(image, view, strips).reshape(-1, patch, view.width * 3)):
                self._cut(strip, number, view, patches)
        used = 1 if plan.tiling == (1, 1) else plan.crops
        channels = self._normalised.shape[2]
        pixels = (used * crops.shape[1], crops.shape[2] // channels, channels)
        cv2.LUT(patches[:used].reshape(pixels), self._normalised, dst=crops[:used].reshape(pixels))

    def _cut(self, strip: np.ndarray, number: int, view: View, crops: np.ndarray) -> None:
        """Copies a canvas's row of patches, `[patch, width * 3]`, to the crops that it belongs to."""
        grid = self.config.grid
        side, patch = grid.patches, grid.patch_size
        by_patch = strip.reshape(patch, -1, patch * 3).transpose(1, 0, 2)
        by_crop = crops.reshape(-1, side, side, patch, patch * 3)
        rows, columns = view.tiling
        for i in range(max(0, (number - side) // grid.window), min(rows, number // grid.window + 1)):
            if number - i * grid.window < side:
                for j in range(columns):
                    crop = by_crop[view.first_crop + i * columns + j]
                    crop[number - i * grid.window] = by_patch[j * grid.window : j * grid.window + side]


def _resize_columns(image: np.ndarray, plan: CropPlan) -> list[np.ndarray]:
    """The image at the width of each view: float32 `[lines read, width * 3]`, 0..255, padding 0.

    A chunk of the image's rows at a time is transposed, resized as the first axis of a matrix with long rows,
    which BLAS is fastest at, and transposed back.
    """
    width, lines = image.shape[1], plan.lines
    narrowed = [np.empty((len(lines), view.width, 3), np.float32) for view in plan.views]
    step = min(len(lines), max(1, CHUNK_VALUES // (3 * width)))
    source = np.empty((width, step * 3), np.float32)
    resized = [np.empty((view.width, step * 3), np.float32) for view in plan.views]
    for start in range(0, len(lines), step):
        rows = _take_rows(image, lines[start : start + step])
        values = len(rows) * 3
        np.copyto(source[:, :values], cv2.transpose(rows).reshape(width, values))
        for view, columns, out in zip(plan.views, resized, narrowed, strict=True):
            apply_blocks(source[:, :values], view.column_blocks, columns[:, :values])
            cv2.transpose(columns[:, :values].reshape(view.width, -1, 3), dst=out[start : start + len(rows)])
    return [out.reshape(len(lines), -1) for out in narrowed]


def _resize_rows(columns: np.ndarray, view: View) -> Iterator[np.ndarray]:
    """A view's rows of patches, top to bottom: float32 `[patch, width * 3]`, one buffer for all."""
    strip = np.empty((view.height // len(view.strips), view.width * 3), np.float32)
    for strip_blocks in view.strips:
        apply_blocks(columns, strip_blocks, strip)
        yield strip


def _sample(image: np.ndarray, view: View) -> Iterator[np.ndarray]:
    """The same as `_resize_rows` without antialiasing and by bands, straight from the image."""
    height = len(view.bands[0][1])
    x = np.ascontiguousarray(np.broadcast_to(view.columns.positions, (height, view.width)))
    y = np.empty_like(x)
    band = np.empty((height, view.width, 3), np.float32)
    source = np.empty((max(len(lines) for lines, _ in view.bands), image.shape[1], 3), np.float32)
    for lines, positions in view.bands:
        count = len(positions)
        np.copyto(source[: len(lines)], _take_rows(image, lines))
        y[:count] = positions
        cv2.remap(
            source[: len(lines)],
            x[:count],
            y[:count],
            cv2.INTER_LINEAR,
            dst=band[:count],
            borderMode=cv2.BORDER_REPLICATE,
        )
        yield band[:count].reshape(count, -1)


def _take_rows(image: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Chosen rows of an image (sorted), contiguous; without a copy where they follow each other."""
    span = image[lines[0] : lines[-1] + 1]
    return np.ascontiguousarray(span if len(span) == len(lines) else image[lines])


def _round(image: np.ndarray, view: View, strips: Iterator[np.ndarray]) -> np.ndarray:
    """Rounds a view to uint8 as the reference does, half to even, whatever the order of operations here.

    Args:
        image: What the view was resized from.
        view: Its weights.
        strips: Its rows from top to bottom, some at a time: float32 `[n, width * 3]`.

    Returns:
        uint8 `[height, width * 3]`.
    """
    upper = np.empty((view.height, view.width * 3), np.uint8)
    lower = np.empty_like(upper)
    margin = 0.0 if view.dyadic else NEAR_HALF
    top = 0
    for strip in strips:
        rows = slice(top, top + len(strip))
        cv2.convertScaleAbs(strip, dst=upper[rows], beta=margin)
        if margin:
            cv2.convertScaleAbs(strip, dst=lower[rows], beta=-margin)
        top = rows.stop
    if margin:
        unsure = np.flatnonzero(upper != lower)
        y, value = np.divmod(unsure, view.width * 3)
        upper.ravel()[unsure] = np.rint(
            bilinear_pixels(image, view.rows, view.columns, y, value // 3, value % 3)
        )
    return upper
