# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whether the values of a config can be those of a model, before anything is allocated by them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from molmo_ros.molmo.config import MolmoConfig, RopeScaling
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.families.reading import MOST_LAYERS

MAY_BE_ZERO = ("extra_vocab", "experts", "experts_per_token", "patch_id", "subpatch_id", "location_id")
LARGEST = {
    "layers": MOST_LAYERS,
    "heads": 4096,
    "kv_heads": 4096,
    "head_dim": 4096,
    "experts": 4096,
    "experts_per_token": 4096,
    "patch_size": 4096,
    "width": 2**20,
    "mlp_width": 2**20,
    "hidden_width": 2**20,
    "output_width": 2**20,
    "grid": 4096,
    "feature_layers": MOST_LAYERS,
}
"""Most that an integer may be, far above every released model; `LARGEST_OTHER` where nothing is said."""
LARGEST_OTHER = 2**24
LARGEST_FLOAT = 1e30
SMALLEST_FLOAT = 1e-30


def check_config(config: MolmoConfig) -> None:
    """Refuses values of the wrong type, out of range, or that do not fit each other.

    Raises:
        CheckpointError: Names the value and what would be valid.
    """
    parts: list[Any] = [config.vision, config.connector, config.decoder, config.point_head]
    for part in filter(None, [*parts, config.decoder.rope_scaling]):
        for item in fields(part):
            _check_value(
                f"{type(part).__name__}.{item.name}", item.name, str(item.type), getattr(part, item.name)
            )
    if config.decoder.rope_scaling is not None:
        _check_scaling(config.decoder.rope_scaling, config.decoder.rope_theta)
    _check_shapes(config)


def _check_value(where: str, name: str, kind: str, value: Any) -> None:
    """Refuses a value that is not of the field's type and in its range."""
    largest = LARGEST.get(name, LARGEST_OTHER)
    if kind == "int":
        lowest = 0 if name in MAY_BE_ZERO else 1
        sound = type(value) is int and lowest <= value <= largest
        wanted = "an integer, 0 or more" if lowest == 0 else "a positive integer"
        wanted += f" up to {largest}"
    elif kind.startswith("tuple[int"):
        sound = len(value) <= MOST_LAYERS and all(type(one) is int and 0 <= one <= largest for one in value)
        wanted = f"at most {MOST_LAYERS} integers, each from 0 to {largest}"
    elif kind.startswith("float") and not (value is None and kind.endswith("None")):
        sound = type(value) in (int, float) and SMALLEST_FLOAT <= value <= LARGEST_FLOAT
        wanted = f"a positive number from {SMALLEST_FLOAT} to {LARGEST_FLOAT}"
    elif kind == "bool":
        sound, wanted = type(value) is bool, "true or false"
    else:
        return
    if not sound:
        raise CheckpointError(f"{where} is {value!r:.80}, not {wanted}")


def _check_scaling(scaling: RopeScaling, theta: float) -> None:
    """Refuses numbers for which YaRN has no meaning."""
    if scaling.factor < 1:
        raise CheckpointError(f"RopeScaling.factor is {scaling.factor}, not at least 1")
    if scaling.beta_fast < scaling.beta_slow:
        raise CheckpointError(
            f"RopeScaling.beta_fast is {scaling.beta_fast}, not at least beta_slow, {scaling.beta_slow}"
        )
    if theta < 2:
        raise CheckpointError(f"rope_theta is {theta}; YaRN needs at least 2")


def _check_shapes(config: MolmoConfig) -> None:
    """Refuses numbers that do not fit each other."""
    decoder, vision = config.decoder, config.vision
    head, connector = config.point_head, config.connector
    if decoder.kv_heads < 1 or decoder.heads % decoder.kv_heads:
        raise CheckpointError(
            f"{decoder.heads} attention heads cannot share {decoder.kv_heads} key/value heads"
        )
    if decoder.head_dim % 2:
        raise CheckpointError(f"head_dim {decoder.head_dim} is odd; the rotary embedding needs an even one")
    if head is not None and head.width % 2:
        raise CheckpointError(f"patch_embed_dim {head.width} is odd; the rotary embedding needs an even one")
    rows = decoder.vocab + decoder.extra_vocab
    ids = [head.patch_id, head.subpatch_id, head.location_id] if head else []
    if outside := [number for number in ids if number >= rows]:
        raise CheckpointError(f"the point head's token ids {outside} lie outside the {rows} embeddings")
    if not connector.pooling_output and connector.heads * connector.head_dim != connector.width:
        raise CheckpointError(
            f"{connector.heads} pooling heads of {connector.head_dim} give "
            f"{connector.heads * connector.head_dim} values; without an output layer the projector needs them "
            f"to be {connector.width}"
        )
    if min(vision.grid) < 1:
        raise CheckpointError(f"the crop holds no whole patch of {vision.patch_size} px: grid {vision.grid}")
    if not (decoder.experts == 0 or 1 <= decoder.experts_per_token <= decoder.experts):
        raise CheckpointError(
            f"{decoder.experts_per_token} of {decoder.experts} experts cannot work on a token"
        )
