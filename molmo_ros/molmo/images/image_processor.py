"""From an RGB image to what the vision tower takes: crops cut into patches, and the tables that place their
tokens.

Every model looks at an image twice: once whole, squeezed into one crop (the global view), and once at a
higher resolution in overlapping tiles. There are two styles of resizing:

* "padded" (the September 2024 models) keeps the aspect ratio, resizes with antialiasing and pads to the tiles.
* "stretched" (Molmo2 and MolmoPoint) stretches to the tiles without antialiasing and rounds back to 8 bits.

Everything that depends only on the size of the image is made once per size and kept (crop_plan.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.images.crop_plan import Band, CropPlan, View, plan_crops
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.resize import bilinear_pixels, remap_is_exact, resize_columns, resize_rows

__all__ = ["ImageProcessor", "ImageProcessorConfig", "ProcessedImage"]

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
        masks: "padded" only: float32 `[1 + tiles, patches]`, see `tiling.patch_coverage`.
        input_idx: "padded" only: int64 `[1 + tiles, pooled cells]`, the image token that each pooled cell is
            added to, counted from the first image token (add 1 for BOS); -100 for cells that are dropped.
        pooling: "stretched" only: int64 `[tokens, pooled patches]`, patches numbered through all crops; -1 is
            none.
        mosaic: "stretched" only: int64 `[rows, columns]`, the patches that cover the image, numbered as in
            `pooling`; those of the global view are not among them.
        low_res_grid: Tokens (rows, columns) of the global view.
        high_res_grid: Tokens (rows, columns) of the tiles' mosaic; (0, 0) without tiles.
        tiling: Tiles (rows, columns).
        image_size: (height, width) of the image [px].
        single_view: Whether `crops[1]` is bit for bit `crops[0]`, so that the vision tower need see only one.
    """

    crops: np.ndarray
    masks: np.ndarray | None
    input_idx: np.ndarray | None
    pooling: np.ndarray | None
    mosaic: np.ndarray | None
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
        self._offset = (-mean / std).astype(np.float32)
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
        plan = self.plan(image)
        grid = self.config.grid
        crops = np.empty((plan.crops, grid.patches**2, grid.patch_size**2 * 3), np.float32)
        if self.config.style == "padded":
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
            mosaic=None if plan.mosaic is None else plan.mosaic.copy(),
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

    def _fill_padded(self, image: np.ndarray, plan: CropPlan, crops: np.ndarray) -> None:
        """0924: resized in float and normalised; padding is black before normalisation.

        The weights of the columns hold the factors 1 / (255 std) already.
        """
        for view in plan.views:
            offset = np.tile(self._offset, view.width)
            for band, pixels in _resize(image, view):
                pixels += offset
                self._cut(pixels, band.top, view, crops)

    def _fill_rounded(self, image: np.ndarray, plan: CropPlan, crops: np.ndarray) -> None:
        """Molmo2: resized, rounded to 8 bits, and normalised through a table of 256 values."""
        patches = np.empty(crops.shape, np.uint8)
        for view in plan.views:
            self._cut(_round(image, view).reshape(view.height, -1), 0, view, patches)
        used = 1 if plan.tiling == (1, 1) else plan.crops
        channels = self._normalised.shape[2]
        pixels = (used * crops.shape[1], crops.shape[2] // channels, channels)
        cv2.LUT(patches[:used].reshape(pixels), self._normalised, dst=crops[:used].reshape(pixels))

    def _cut(self, pixels: np.ndarray, top: int, view: View, crops: np.ndarray) -> None:
        """Copies a canvas's rows, `[n patches, width * 3]`, `top` the first [px], to the crops they belong to."""
        grid = self.config.grid
        side, patch = grid.patches, grid.patch_size
        by_patch = pixels.reshape(-1, patch, view.width // patch, patch * 3).transpose(0, 2, 1, 3)
        by_crop = crops.reshape(-1, side, side, patch, patch * 3)
        first, stop = top // patch, top // patch + len(by_patch)
        rows, columns = view.tiling
        for i in range(rows):
            origin = i * grid.window
            low, high = max(first, origin), min(stop, origin + side)
            if low < high:
                for j in range(columns):
                    crop = by_crop[view.first_crop + i * columns + j]
                    crop[low - origin : high - origin] = by_patch[
                        low - first : high - first, j * grid.window : j * grid.window + side
                    ]


def _resize(image: np.ndarray, view: View) -> Iterator[tuple[Band, np.ndarray]]:
    """A view's bands, top to bottom: float32 `[height, width * 3]`, one buffer for all; padding is 0."""
    values, height = image.shape[1] * 3, view.bands[0].height
    source = np.empty((max(len(band.lines) for band in view.bands), values), np.float32)
    shortened = np.empty((height, values), np.float32)
    resized = np.empty((height, view.width * 3), np.float32)
    for band in view.bands:
        pixels, lines = resized[: band.height], source[: len(band.lines)]
        pixels[: band.inside.start] = 0
        pixels[band.inside.stop :] = 0
        if len(lines):
            rows = shortened[: band.inside.stop - band.inside.start]
            np.copyto(lines, _take_rows(image, band.lines).reshape(lines.shape))
            resize_rows(lines, band.row_blocks, rows)
            resize_columns(rows, view.column_blocks, pixels[band.inside])
        yield band, pixels


def _sample(image: np.ndarray, view: View) -> Iterator[tuple[Band, np.ndarray]]:
    """The same as `_resize` without antialiasing, by `cv2.remap`, with a fourth channel of no meaning.

    OpenCV samples four channels twice as fast as three, since a pixel then fills a vector register.
    """
    height, width = view.bands[0].height, image.shape[1]
    x = np.ascontiguousarray(np.broadcast_to(view.columns.positions, (height, view.width)))
    y = np.empty_like(x)
    most = max(len(band.lines) for band in view.bands)
    bytes4 = np.empty((most, width, 4), np.uint8)
    source = np.empty((most, width, 4), np.float32)
    sampled = np.empty((height, view.width, 4), np.float32)
    for band in view.bands:
        lines, rows = slice(len(band.lines)), slice(band.height)
        cv2.cvtColor(_take_rows(image, band.lines), cv2.COLOR_RGB2RGBA, dst=bytes4[lines])
        np.copyto(source[lines], bytes4[lines])
        y[rows] = band.positions
        cv2.remap(
            source[lines],
            x[rows],
            y[rows],
            cv2.INTER_LINEAR,
            dst=sampled[rows],
            borderMode=cv2.BORDER_REPLICATE,
        )
        yield band, sampled[rows].reshape(band.height, -1)


def _sample_by_products(image: np.ndarray, view: View) -> Iterator[tuple[Band, np.ndarray]]:
    """The same as `_sample`, for where `cv2.remap` cannot do it."""
    for band, pixels in _resize(image, view):
        yield (
            band,
            cv2.cvtColor(pixels.reshape(-1, view.width, 3), cv2.COLOR_RGB2RGBA).reshape(len(pixels), -1),
        )


def _take_rows(image: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Chosen rows of an image (sorted), contiguous; without a copy where they follow each other."""
    span = image[lines[0] : lines[-1] + 1]
    return np.ascontiguousarray(span if len(span) == len(lines) else image[lines])


def _round(image: np.ndarray, view: View) -> np.ndarray:
    """Resizes an image and rounds as the reference does, half to even, whatever the order of operations here.

    Returns:
        uint8 `[height, width, 3]`.
    """
    upper = np.empty((view.height, view.width * 4), np.uint8)
    lower = np.empty_like(upper)
    margin = 0.0 if view.dyadic else NEAR_HALF
    sample = _sample if REMAP_IS_EXACT and image.shape[1] < REMAP_LIMIT else _sample_by_products
    for band, pixels in sample(image, view):
        rows = slice(band.top, band.top + band.height)
        cv2.convertScaleAbs(pixels, dst=upper[rows], beta=margin)
        if margin:
            cv2.convertScaleAbs(pixels, dst=lower[rows], beta=-margin)
    rounded = cv2.cvtColor(upper.reshape(view.height, view.width, 4), cv2.COLOR_RGBA2RGB)
    if margin:
        unsure = np.flatnonzero(upper.view(np.uint32) != lower.view(np.uint32))
        which, channel = np.nonzero(upper.reshape(-1, 4)[unsure] != lower.reshape(-1, 4)[unsure])
        y, x = np.divmod(unsure[which], view.width)
        rounded[y, x, channel] = np.rint(bilinear_pixels(image, view.rows, view.columns, y, x, channel))
    return rounded
