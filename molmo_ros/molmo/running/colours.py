# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Patches of 8 bits, normalised where the network runs, so that a picture gets there in a quarter of the bytes."""

from __future__ import annotations

import torch
from torch import Tensor

from molmo_ros.molmo.errors import ImageError


def normalise(crops: Tensor, colours: Tensor | None) -> Tensor:
    """Patches as the network takes them; those that are floats are so already.

    The same operations in the same order as `ProcessedImage.crops`, and bit for bit the same values: each is rounded
    to float32 as IEEE 754 says.

    Args:
        crops: [n, patches, patch_values], uint8 or of a floating-point type.
        colours: float32 [2, patch_values], see `ProcessedImage`, on the same device; needed for uint8.

    Returns:
        float32 of uint8; else `crops`.

    Raises:
        ImageError: The colours are missing or have another shape, or patches are of another type.
    """
    check_colours(crops, colours)
    if colours is None or crops.dtype != torch.uint8:
        return crops
    mean, std = colours.to(torch.float32)
    # As a tensor: torch on CUDA multiplies with the reciprocal of a number.
    highest = torch.full((1,), 255, dtype=torch.float32, device=crops.device)
    return crops.to(torch.float32).div_(highest).sub_(mean).div_(std)


def check_colours(crops: Tensor, colours: Tensor | None) -> None:
    """Makes sure that patches are normalised, or can be.

    Raises:
        ImageError: See `normalise`.
    """
    if crops.dtype != torch.uint8:
        if not crops.is_floating_point():
            raise ImageError(f"patches are {crops.dtype}; they must be torch.uint8, or normalised floats")
        return
    wanted = (2, crops.shape[-1])
    if colours is None or tuple(colours.shape) != wanted:
        found = None if colours is None else tuple(colours.shape)
        raise ImageError(
            f"patches of 8 bits need the colours of shape {wanted} that their image processor gives; found {found}"
        )
