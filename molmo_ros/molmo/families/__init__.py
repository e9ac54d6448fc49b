"""The families of Molmo models: all that distinguishes them outside of the numbers in their configs.

One file per family; everything else in `molmo/` asks the config or the `Family`, never for a name.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import CheckpointError, UnsupportedModelError
from molmo_ros.molmo.families import molmo, molmo2, molmo_point, molmoe
from molmo_ros.molmo.families.family import Family, ImageStyle, PromptStyle, Special

__all__ = ["FAMILIES", "Family", "ImageStyle", "PromptStyle", "Special", "family", "read_config"]

FAMILIES = {one.name: one for one in (molmo.FAMILY, molmoe.FAMILY, molmo2.FAMILY, molmo_point.FAMILY)}


def family(name: str) -> Family:
    """The family of a config.

    Raises:
        UnsupportedModelError: No such family.
    """
    if name not in FAMILIES:
        raise UnsupportedModelError(f"family {name!r} is not supported; supported: {', '.join(FAMILIES)}")
    return FAMILIES[name]


def read_config(raw: dict[str, Any]) -> MolmoConfig:
    """The config of a parsed config.json.

    Raises:
        CheckpointError: The family or one of its settings is not supported, or a value is missing or wrong.
    """
    model_type = raw.get("model_type")
    experts = raw.get("moe_num_experts") or raw.get("num_experts")
    # MolmoE's config.json carries the model_type of the dense models.
    name = "molmoe" if experts and model_type in ("molmo", "molmoe") else model_type
    if not isinstance(name, str) or name not in FAMILIES:
        known = "; ".join(f"{one.name!r} ({one.members})" for one in FAMILIES.values())
        raise UnsupportedModelError(f"model_type {model_type!r} is not supported; supported: {known}")
    try:
        config = FAMILIES[name].read_config(raw)
    except CheckpointError:
        raise
    except KeyError as missing:
        raise CheckpointError(
            f"config.json of model_type {model_type!r} lacks the key {missing}"
        ) from missing
    except (TypeError, ValueError, AttributeError, ZeroDivisionError) as wrong:
        raise CheckpointError(
            f"config.json of model_type {model_type!r} has a wrong value: {wrong}"
        ) from wrong
    _check_numbers(config)
    _check_shapes(config)
    return config


MAY_BE_ZERO = ("extra_vocab", "experts", "experts_per_token", "patch_id", "subpatch_id", "location_id")


def _check_numbers(config: MolmoConfig) -> None:
    """Refuses settings that are no numbers, or not positive ones."""
    parts: list[Any] = [config.vision, config.connector, config.decoder, config.point_head]
    for part in filter(None, parts):
        for item in fields(part):
            name, value = f"{type(part).__name__}.{item.name}", getattr(part, item.name)
            lowest = 0 if item.name in MAY_BE_ZERO else 1
            if item.type == "int" and (type(value) is not int or value < lowest):
                wanted = "an integer, 0 or more" if lowest == 0 else "a positive integer"
                raise CheckpointError(f"{name} is {value!r}, not {wanted}")
            if item.type == "float" and (type(value) not in (int, float) or not value > 0):
                raise CheckpointError(f"{name} is {value!r}, not a positive number")


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
