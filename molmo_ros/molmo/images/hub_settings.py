# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Reading values of a checkpoint's image and video processing files: what every style needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from molmo_ros.molmo.errors import CheckpointError


def read_part(settings: dict[str, Any], key: str) -> dict[str, Any]:
    """An object within a file's settings, or an empty one where there is none.

    Raises:
        CheckpointError: It is no object.
    """
    part = settings.get(key)
    if part is not None and not isinstance(part, dict):
        raise CheckpointError(f"{key} is {part!r:.80}, not a JSON object.")
    return part or {}


def whole_number(key: str, value: Any) -> int:
    """A setting that counts something.

    Raises:
        CheckpointError: It is not a whole number from 1.
    """
    if type(value) not in (int, float) or value != value // 1 or not 1 <= value < math.inf:
        raise CheckpointError(f"{key} is {value!r:.80}; it must be a whole number, at least 1.")
    return int(value)


def require(settings: Mapping[str, Any], **required: Any) -> None:
    """Refuses settings that would change the pixels in a way that is not implemented."""
    for key, value in required.items():
        found = settings.get(key)
        if found is not None and found != value:
            raise CheckpointError(f"Processor setting {key} is {found!r:.200}; only {value!r} is supported.")


def normalisation(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The values that colours are normalised with, which every family names alike."""
    names = {"image_mean": "mean", "image_std": "std"}
    return {
        name: tuple(float(value) for value in settings[key])
        for key, name in names.items()
        if settings.get(key) is not None
    }


def square(key: str, sides: list[Any]) -> int:
    """The side of a crop [px] from its height and width.

    Raises:
        CheckpointError: They are not whole numbers, or not the same.
    """
    height, width = (whole_number(key, side) for side in sides)
    if height != width:
        raise CheckpointError(f"Crops must be square; these are {height} x {width}.")
    return height
