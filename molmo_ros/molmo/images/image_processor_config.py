# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The constants of a checkpoint's image processing, and how its Hugging Face files spell them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from molmo_ros.molmo.errors import CheckpointError, MolmoError
from molmo_ros.molmo.images.hub_settings import require
from molmo_ros.molmo.images.image_style import ImageStyle
from molmo_ros.molmo.images.tiling import CropGrid

MAX_CROPS = 1000
"""Highest limit on tiles that can be set: more than fills the context of any Molmo."""


@dataclass(frozen=True)
class ImageProcessorConfig:
    """The constants of one checkpoint's image processing.

    Attributes:
        style: How images are resized, and which tables come with them.
        crop_size: Side of a crop [px].
        patch_size: Side of a patch [px].
        max_crops: Most tiles of one image, the global view not counted. 0: only the global view, as for frames of
            a video, where the style allows it.
        overlap_margins: Patches (left and top, right and bottom) that a tile leaves to its neighbour.
        pool: Patches pooled into one token, (rows, columns).
        mean: Per channel (RGB), of values in 0..1.
        std: Per channel (RGB), of values in 0..1.
        low_res_columns: Whether the rows of the global view end in a column token; those of the tiles always do.
    """

    style: ImageStyle
    crop_size: int
    patch_size: int = 14
    max_crops: int = 8
    overlap_margins: tuple[int, int] = (4, 4)
    pool: tuple[int, int] = (2, 2)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    low_res_columns: bool = False

    def __post_init__(self) -> None:
        lowest = {"crop_size": 1, "patch_size": 1, "max_crops": self.style.fewest_crops}
        for name, least in lowest.items():
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise CheckpointError(f"{name} is {value!r:.80}; it must be at least {least}, and whole.")
        if self.max_crops > MAX_CROPS:
            raise CheckpointError(f"max_crops is {self.max_crops}; it must be at most {MAX_CROPS}.")
        if self.crop_size % self.patch_size:
            raise CheckpointError(
                f"crop_size {self.crop_size} is not a multiple of patch_size {self.patch_size}."
            )
        if len(self.overlap_margins) != 2 or min(self.overlap_margins) < 0 or self.grid.window < 1:
            raise CheckpointError(
                f"overlap_margins {self.overlap_margins} do not fit: they must be two counts of patches, "
                f"and a crop of {self.grid.patches} patches must keep at least one."
            )
        if len(self.pool) != 2 or min(self.pool) < 1 or max(self.pool) > self.grid.patches:
            raise CheckpointError(
                f"pool {self.pool} must be two counts of patches, from 1 to the {self.grid.patches} of a crop."
            )
        finite = all(math.isfinite(value) for value in (*self.mean, *self.std))
        if len(self.mean) != 3 or len(self.std) != 3 or not finite or min(self.std) <= 0:
            raise CheckpointError(
                f"mean {self.mean} and std {self.std} must be 3 finite numbers each, std above 0."
            )
        self.style.check(self.grid)

    @property
    def grid(self) -> CropGrid:
        """The sizes that tiling depends on."""
        return CropGrid(self.crop_size, self.patch_size, self.overlap_margins, self.pool, self.max_crops)

    def with_max_crops(self, max_crops: int) -> ImageProcessorConfig:
        """The same with another limit on the tiles of one image.

        Raises:
            MolmoError: It is not a whole number from 1 to `MAX_CROPS`.
        """
        if isinstance(max_crops, bool) or not isinstance(max_crops, int) or not 1 <= max_crops <= MAX_CROPS:
            raise MolmoError(
                f"max_crops is {max_crops!r:.200}; it must be a whole number from 1 to {MAX_CROPS}"
            )
        return replace(self, max_crops=max_crops)

    @classmethod
    def released(cls, style: ImageStyle, **changes: Any) -> ImageProcessorConfig:
        """The constants of the released models of this style, with `changes`."""
        return cls(style, **{**style.released, **changes})

    @classmethod
    def from_settings(
        cls, style: ImageStyle, settings: Mapping[str, Any], processor: Mapping[str, Any], folder: Path
    ) -> ImageProcessorConfig:
        """Reads what the hub's files say. Absent keys take the released value.

        Args:
            style: How images are resized.
            settings: preprocessor_config.json, or the "image_processor" part of processor_config.json.
            processor: processor_config.json.
            folder: Where they are, for messages.

        Raises:
            CheckpointError: Settings that are not implemented.
        """
        try:
            read = style.read(settings)
            for key in ("max_crops", "overlap_margins"):
                if settings.get(key) is not None:
                    read[key] = settings[key]
            if "overlap_margins" in read:
                read["overlap_margins"] = tuple(int(margin) for margin in read["overlap_margins"])
            if read.get("max_crops") == 0:  # only frames of a video may have none
                raise CheckpointError("max_crops is 0; it must be at least 1.")
            require(processor, image_use_col_tokens=True, use_single_crop_start_token=True)
            if "use_single_crop_col_tokens" in processor:
                columns = processor["use_single_crop_col_tokens"]
                read["low_res_columns"] = columns is None or bool(columns)  # null: as `image_use_col_tokens`
            return cls.released(style, **read)
        except CheckpointError:
            raise
        except (AttributeError, TypeError, ValueError, KeyError, IndexError, ArithmeticError) as error:
            raise CheckpointError(
                f"Image processor settings in {folder} cannot be read: {error!r:.200}."
            ) from error
