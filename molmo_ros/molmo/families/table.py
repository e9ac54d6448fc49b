# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which families there are, and which of them a config.json is of."""

from __future__ import annotations

import re
from typing import Any

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import CheckpointError, UnsupportedModelError
from molmo_ros.molmo.families import molmo, molmo2, molmo_point, molmoe
from molmo_ros.molmo.families.config_check import check_config
from molmo_ros.molmo.families.family import Family
from molmo_ros.molmo.families.packed_formats import refuse_packed_config
from molmo_ros.molmo.images.image_style import ImageStyle

FAMILIES = {one.name: one for one in (molmo.FAMILY, molmoe.FAMILY, molmo2.FAMILY, molmo_point.FAMILY)}


def family(name: str) -> Family:
    """The family of a config.

    Raises:
        UnsupportedModelError: No such family.
    """
    if name not in FAMILIES:
        raise UnsupportedModelError(
            f"family {name!r:.200} is not supported; supported: {', '.join(FAMILIES)}"
        )
    return FAMILIES[name]


def image_style(kind: str) -> ImageStyle | None:
    """How images are resized, by an `image_processor_type` or a `model_type`; None for one that nobody knows."""
    styles = (one.image_style for one in FAMILIES.values() if re.fullmatch(one.image_types, kind.lower()))
    return next(styles, None)


def parse_config(raw: dict[str, Any]) -> MolmoConfig:
    """The shape of the model that a parsed config.json, of the hub or as transformers saves it, is of.

    Raises:
        CheckpointError: The family or one of its settings is not supported, or a value is missing or wrong.
    """
    refuse_packed_config(raw)
    model_type = raw.get("model_type")
    experts = raw.get("moe_num_experts") or raw.get("num_experts")
    # MolmoE's config.json carries the model_type of the dense models.
    name = "molmoe" if experts and model_type in ("molmo", "molmoe") else model_type
    if not isinstance(name, str) or name not in FAMILIES:
        known = "; ".join(f"{one.name!r} ({one.members})" for one in FAMILIES.values())
        raise UnsupportedModelError(f"model_type {model_type!r:.80} is not supported; supported: {known}")
    try:
        config = FAMILIES[name].read_config(raw)
        check_config(config)
    except CheckpointError:
        raise
    except KeyError as missing:
        raise CheckpointError(
            f"config.json of model_type {model_type!r:.200} lacks the key {missing!s:.200}"
        ) from missing
    except (TypeError, ValueError, AttributeError, ArithmeticError) as wrong:
        raise CheckpointError(
            f"config.json of model_type {model_type!r:.200} has a wrong value: {wrong!s:.200}"
        ) from wrong
    return config
