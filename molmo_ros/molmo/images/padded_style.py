# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The September 2024 models' images: aspect ratio kept, resized with antialiasing, padded to the tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from molmo_ros.molmo.errors import CheckpointError, ImageError
from molmo_ros.molmo.images.canvas import Canvas, Placement, cut, resized_bands
from molmo_ros.molmo.images.hub_settings import normalisation, require, square, whole_number
from molmo_ros.molmo.images.image_style import Colour, CropTables, Fill, ImageStyle
from molmo_ros.molmo.images.resize import antialias_weights
from molmo_ros.molmo.images.tiling import CropGrid, patch_coverage, token_positions


@dataclass(frozen=True)
class PaddedStyle(ImageStyle):
    """To scale, with antialiasing, on black. Source: hub image_preprocessing_molmo.py and preprocessor_config.json."""

    name = "padded"
    processor = "MolmoImageProcessor"
    fewest_crops = 1
    sampled = False
    eight_bits = False
    released = {
        "crop_size": 336,
        "max_crops": 12,
        "mean": (0.48145466, 0.4578275, 0.40821073),  # CLIP's
        "std": (0.26862954, 0.26130258, 0.27577711),
        "low_res_columns": True,
    }

    def check(self, grid: CropGrid) -> None:
        cells = (grid.patches, *grid.margins)
        if any(count % pool for count in cells for pool in grid.pool):
            raise CheckpointError(
                f"Crops of {grid.patches} patches with margins {grid.margins} are not whole "
                f"pooling windows of {grid.pool}, which this family needs."
            )

    def read(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        require(settings, do_normalize=True, image_padding_mask=True, normalize="openai")
        read = normalisation(settings)
        if settings.get("image_patch_size") is not None:
            read["patch_size"] = whole_number("image_patch_size", settings["image_patch_size"])
        if settings.get("base_image_input_size") is not None:
            size = settings["base_image_input_size"]
            sides = [size, size] if isinstance(size, int) else list(size)
            read["crop_size"] = square("base_image_input_size", sides)
        keys = ("image_token_length_h", "image_token_length_w")
        if all(settings.get(key) is not None for key in keys):
            tokens = [whole_number(key, settings[key]) for key in keys]
            patches = read.get("crop_size", 336) // read.get("patch_size", 14)
            if any(patches % count for count in tokens):
                raise CheckpointError(
                    f"A crop of {patches} patches a side does not pool into {tokens} tokens."
                )
            read["pool"] = tuple(patches // count for count in tokens)
        return read

    def place(self, size: tuple[int, int], canvas: tuple[int, int]) -> Placement:
        inside = fit_inside(size, canvas)
        rows, columns = (
            antialias_weights(length, span.stop - span.start).padded(span.start, out - span.stop)
            for length, span, out in zip(size, inside, canvas, strict=True)
        )
        return Placement(rows, columns, inside)

    def scale(self, std: Colour) -> np.ndarray:
        return 1 / (255 * np.array(std))

    def tables(self, inside: tuple[slice, slice], tiling: tuple[int, int], grid: CropGrid) -> CropTables:
        return CropTables(masks=patch_coverage(inside, tiling, grid), input_idx=token_positions(tiling, grid))

    def filler(self, grid: CropGrid, mean: Colour, std: Colour) -> Fill:
        offset = (-np.array(mean, np.float64) / np.array(std, np.float64)).astype(np.float32)
        return partial(_fill, grid, offset)


PADDED = PaddedStyle()


def _fill(
    grid: CropGrid, offset: np.ndarray, image: np.ndarray, canvases: Sequence[Canvas], patches: np.ndarray
) -> None:
    """Resized in float and normalised; padding is black before normalisation.

    The weights of the columns hold the factors 1 / (255 std) already.
    """
    for canvas in canvases:
        row = np.tile(offset, canvas.width)
        for band, pixels in resized_bands(image, canvas):
            pixels += row
            cut(pixels, band.top, canvas, grid, patches)


def fit_inside(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of a canvas that an image fills, centred, at its own aspect ratio.

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
