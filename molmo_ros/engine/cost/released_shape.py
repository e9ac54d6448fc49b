# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The whole shape of a released model, from its description in config/models: nothing has to be fetched."""

from __future__ import annotations

from typing import Any

from molmo_ros.engine.cost.pass_cost import stored_values
from molmo_ros.molmo.catalog.registry import ModelEntry
from molmo_ros.molmo.config import (
    ConnectorConfig,
    DecoderConfig,
    MolmoConfig,
    PointHeadConfig,
    VisionConfig,
)
from molmo_ros.molmo.errors import RegistryError

CLIP: dict[str, dict[str, Any]] = {
    "vision": {"activation": "quick_gelu", "class_token": True, "patch_bias": False, "pre_norm": True},
    "connector": {"crop_pooling": True, "pad_embed": True, "mask_empty_slots": False},
}
SIGLIP: dict[str, dict[str, Any]] = {
    "vision": {"activation": "gelu_tanh", "class_token": False, "patch_bias": True, "pre_norm": False},
    "connector": {},
}
TOWERS = {"molmo": CLIP, "molmoe": CLIP, "molmo2": SIGLIP, "molmo_point": SIGLIP}
"""What the description of a model leaves to its family, and what it costs by: see `VisionConfig`."""
NORM_EPS, ROPE_THETA = 1e-6, 1e6
"""What costs nothing, and descriptions do not say."""


def released_shape(entry: ModelEntry) -> MolmoConfig:
    """The shape, fit for counting and not for running: rotary bases and ids of tokens are not in it.

    Raises:
        RegistryError: The parameters do not add up to what the description says.
    """
    tower, shape = TOWERS[entry.family], entry.shape
    vision = VisionConfig(**shape["vision"], norm_eps=NORM_EPS, **tower["vision"])
    decoder = DecoderConfig(
        **shape["decoder"], norm_eps=NORM_EPS, rope_theta=ROPE_THETA, max_positions=entry.context
    )
    connector = ConnectorConfig(
        **shape["connector"],
        feature_width=vision.feature_width,
        output_width=decoder.width,
        pool=entry.image_processor.pool,
        **tower["connector"],
    )
    head = shape.get("point_head")
    point_head = (
        PointHeadConfig(**head, rope_theta=ROPE_THETA, patch_id=0, subpatch_id=0, location_id=0)
        if head
        else None
    )
    config = MolmoConfig(
        entry.family,
        vision,
        connector,
        decoder,
        image_block=not tower["vision"]["class_token"],
        point_head=point_head,
    )
    count = sum(values for _, values in stored_values(config))
    if count != entry.loaded_parameters:
        raise RegistryError(
            f"the shape of {entry.name} makes {count:,} parameters; its description says {entry.loaded_parameters:,}"
        )
    return config
