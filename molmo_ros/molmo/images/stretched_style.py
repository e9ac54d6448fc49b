# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Molmo2's and MolmoPoint's images: stretched to the tiles without antialiasing, and rounded back to 8 bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from molmo_ros.molmo.images.canvas import Band, Canvas, Placement, cut, resized_bands, take_rows
from molmo_ros.molmo.images.hub_settings import normalisation, require, square, whole_number
from molmo_ros.molmo.images.image_style import Colour, CropTables, Fill, ImageStyle
from molmo_ros.molmo.images.resize import bilinear_pixels, bilinear_weights, remap_is_exact
from molmo_ros.molmo.images.tiling import CropGrid, mosaic_patches, pooling_table

NEAR_HALF = 1e-4
"""A resized value this close to a half may round either way, depending on the order of float32 operations: a
handful of roundings of at most 8e-6 each (half a unit in the last place below 256), here and in the
reference."""
REMAP_IS_EXACT = remap_is_exact()
REMAP_LIMIT = 1 << 15
"""`cv2.remap` takes images up to this width [px]."""


@dataclass(frozen=True)
class StretchedStyle(ImageStyle):
    """Each value between two neighbours. Source: hub image_processing_molmo2.py; transformers' own Molmo2."""

    name = "stretched"
    processor = "Molmo2ImageProcessor"
    fewest_crops = 0
    sampled = True
    eight_bits = True
    released = {"crop_size": 378}

    def check(self, grid: CropGrid) -> None:
        pass  # a pooling window may end beyond the edge

    def read(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        require(settings, do_resize=True, do_rescale=True, do_normalize=True, resample=2)
        read = normalisation(settings)
        if settings.get("size") is not None:
            size = settings["size"]
            read["crop_size"] = square("size", [size["height"], size["width"]])
        if settings.get("patch_size") is not None:
            read["patch_size"] = whole_number("patch_size", settings["patch_size"])
        if settings.get("pooling_size") is not None:
            read["pool"] = tuple(whole_number("pooling_size", count) for count in settings["pooling_size"])
        return read

    def place(self, size: tuple[int, int], canvas: tuple[int, int]) -> Placement:
        rows, columns = (bilinear_weights(length, out) for length, out in zip(size, canvas, strict=True))
        return Placement(rows, columns, (slice(canvas[0]), slice(canvas[1])))

    def scale(self, std: Colour) -> np.ndarray:
        return np.ones(3)

    def tables(self, inside: tuple[slice, slice], tiling: tuple[int, int], grid: CropGrid) -> CropTables:
        return CropTables(pooling=pooling_table(tiling, grid), mosaic=mosaic_patches(tiling, grid))

    def filler(self, grid: CropGrid, mean: Colour, std: Colour) -> Fill:
        return partial(_fill, grid)


STRETCHED = StretchedStyle()


def _fill(grid: CropGrid, image: np.ndarray, canvases: Sequence[Canvas], patches: np.ndarray) -> None:
    """Resized and rounded to 8 bits."""
    for canvas in canvases:
        cut(_round(image, canvas).reshape(canvas.height, -1), 0, canvas, grid, patches)


def _sample(image: np.ndarray, canvas: Canvas) -> Iterator[tuple[Band, np.ndarray]]:
    """The same as `resized_bands` without antialiasing, by `cv2.remap`, with a fourth channel of no meaning.

    OpenCV samples four channels twice as fast as three, since a pixel then fills a vector register.
    """
    height, width = canvas.bands[0].height, image.shape[1]
    x = np.ascontiguousarray(np.broadcast_to(canvas.columns.positions, (height, canvas.width)))
    y = np.empty_like(x)
    most = max(len(band.lines) for band in canvas.bands)
    bytes4 = np.empty((most, width, 4), np.uint8)
    source = np.empty((most, width, 4), np.float32)
    sampled = np.empty((height, canvas.width, 4), np.float32)
    for band in canvas.bands:
        lines, rows = slice(len(band.lines)), slice(band.height)
        cv2.cvtColor(take_rows(image, band.lines), cv2.COLOR_RGB2RGBA, dst=bytes4[lines])
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


def _sample_by_products(image: np.ndarray, canvas: Canvas) -> Iterator[tuple[Band, np.ndarray]]:
    """The same as `_sample`, for where `cv2.remap` cannot do it."""
    for band, pixels in resized_bands(image, canvas):
        yield (
            band,
            cv2.cvtColor(pixels.reshape(-1, canvas.width, 3), cv2.COLOR_RGB2RGBA).reshape(len(pixels), -1),
        )


def _round(image: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Resizes an image and rounds as the reference does, half to even, whatever the order of operations here.

    Returns:
        uint8 `[height, width, 3]`.
    """
    upper = np.empty((canvas.height, canvas.width * 4), np.uint8)
    lower = np.empty_like(upper)
    margin = 0.0 if canvas.dyadic else NEAR_HALF
    sample = _sample if REMAP_IS_EXACT and image.shape[1] < REMAP_LIMIT else _sample_by_products
    for band, pixels in sample(image, canvas):
        rows = slice(band.top, band.top + band.height)
        cv2.convertScaleAbs(pixels, dst=upper[rows], beta=margin)
        if margin:
            cv2.convertScaleAbs(pixels, dst=lower[rows], beta=-margin)
    rounded = cv2.cvtColor(upper.reshape(canvas.height, canvas.width, 4), cv2.COLOR_RGBA2RGB)
    if margin:
        unsure = np.flatnonzero(upper.view(np.uint32) != lower.view(np.uint32))
        which, channel = np.nonzero(upper.reshape(-1, 4)[unsure] != lower.reshape(-1, 4)[unsure])
        y, x = np.divmod(unsure[which], canvas.width)
        rounded[y, x, channel] = np.rint(bilinear_pixels(image, canvas.rows, canvas.columns, y, x, channel))
    return rounded
