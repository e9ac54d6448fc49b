# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The ways in which images are resized and cut: what they differ in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from molmo_ros.molmo.images.canvas import Canvas, Placement
from molmo_ros.molmo.images.tiling import CropGrid

Fill = Callable[[np.ndarray, Sequence[Canvas], np.ndarray], None]
"""Fills patches `[crops, patches, patch values]` with an image, uint8 RGB `[h, w, 3]`, by way of canvases; see
`ImageStyle.eight_bits` for their type."""
Colour = tuple[float, float, float]
"""A value for each channel (RGB)."""


@dataclass(frozen=True)
class CropTables:
    """Where an image's patches go; read-only. A style has two of the four.

    Attributes:
        masks: See `tiling.patch_coverage`.
        input_idx: See `tiling.token_positions`.
        pooling: See `tiling.pooling_table`.
        mosaic: See `tiling.mosaic_patches`.
    """

    masks: np.ndarray | None = None
    input_idx: np.ndarray | None = None
    pooling: np.ndarray | None = None
    mosaic: np.ndarray | None = None

    def __post_init__(self) -> None:
        for table in (self.masks, self.input_idx, self.pooling, self.mosaic):
            if table is not None:
                table.flags.writeable = False


class ImageStyle(ABC):
    """One way to resize images and to cut them into crops; its two kinds are equal to themselves only.

    Attributes:
        name: What to call it.
        processor: The hub's class that does it.
        fewest_crops: Least limit on tiles; 0 where an image may be looked at whole only.
        sampled: Whether it samples between two lines of the image, without antialiasing.
        eight_bits: Whether resized values are rounded to 8 bits before they are normalised: its patches are uint8 and
            not normalised yet. Those of others are float32, and normalised.
        released: The released models' constants, by field of `ImageProcessorConfig`.
    """

    name: ClassVar[str]
    processor: ClassVar[str]
    fewest_crops: ClassVar[int]
    sampled: ClassVar[bool]
    eight_bits: ClassVar[bool]
    released: ClassVar[Mapping[str, Any]]

    def __str__(self) -> str:
        return self.name

    @abstractmethod
    def check(self, grid: CropGrid) -> None:
        """Refuses sizes that it cannot do.

        Raises:
            CheckpointError: Says why.
        """

    @abstractmethod
    def read(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of `ImageProcessorConfig` that the hub's settings call or mean differently.

        Raises:
            CheckpointError: A setting is not supported.
        """

    @abstractmethod
    def place(self, size: tuple[int, int], canvas: tuple[int, int]) -> Placement:
        """How an image comes onto a canvas, both (height, width) [px].

        Raises:
            ImageError: Nothing of it would be left.
        """

    @abstractmethod
    def scale(self, std: Colour) -> np.ndarray:
        """What resizing multiplies each channel (RGB) by."""

    @abstractmethod
    def tables(self, inside: tuple[slice, slice], tiling: tuple[int, int], grid: CropGrid) -> CropTables:
        """The tables of an image that is cut into so many tiles.

        Args:
            inside: Rows and columns [px] of the largest canvas that hold the image.
            tiling: Tiles (rows, columns).
            grid: Sizes of a crop.
        """

    @abstractmethod
    def filler(self, grid: CropGrid, mean: Colour, std: Colour) -> Fill:
        """What resizes and cuts, for crops of these sizes, and normalises where patches are float32."""
