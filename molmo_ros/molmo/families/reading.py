# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Reading values of a config.json: what every family's reader needs."""

from __future__ import annotations

from typing import Any, Literal

from molmo_ros.molmo.errors import CheckpointError, UnsupportedModelError

ACTIVATIONS: dict[str, Literal["quick_gelu", "gelu_tanh"]] = {
    "quick_gelu": "quick_gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
}
MOST_LAYERS = 1024
"""Of a tower or decoder; what says more is damaged."""
ACTIVATION_NAMES = {value: name for name, value in ACTIVATIONS.items()}


def require(raw: dict[str, Any], key: str, value: Any) -> None:
    """Refuses another value of a setting that has only one in the released models."""
    if raw.get(key, value) != value:
        raise UnsupportedModelError(f"{key} is {raw[key]!r:.200}; only {value!r} is supported")


def flag(raw: dict[str, Any], key: str, absent: bool = False) -> bool:
    """A setting that is on or off; null counts as `absent`."""
    value = raw.get(key)
    if value is not None and type(value) is not bool:
        raise CheckpointError(f"{key} is {value!r:.80}, not true or false")
    return absent if value is None else value


def activation(name: str) -> Literal["quick_gelu", "gelu_tanh"]:
    """The vision tower's activation of this name."""
    if name not in ACTIVATIONS:
        names = ", ".join(ACTIVATIONS)
        raise UnsupportedModelError(f"vision activation {name!r:.200} is not supported; supported: {names}")
    return ACTIVATIONS[name]


def grid(image_size: list[int], patch_size: int) -> tuple[int, int]:
    """Patches (rows, columns) of a crop of `image_size` [px]."""
    rows, columns = image_size
    if any(type(side) is not int for side in image_size):
        raise CheckpointError(f"the size of a crop is {image_size!r:.80}, not two integers")
    return rows // patch_size, columns // patch_size


def absolute_layers(layers: list[int], count: int) -> tuple[int, ...]:
    """Layer numbers from 0; negative ones count back from the end of the `count` layers declared."""
    if len(layers) > MOST_LAYERS or any(type(layer) is not int for layer in layers):
        raise CheckpointError(f"vit_layers is {layers!r:.80}, not at most {MOST_LAYERS} integers")
    outside = [layer for layer in layers if not -count <= layer < count]
    if outside:
        raise CheckpointError(
            f"vit_layers {layers}: {outside} lie outside the {count} layers of the vision tower"
        )
    return tuple(layer % count for layer in layers)
