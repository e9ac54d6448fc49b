# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""MolmoPoint-8B, -GUI-8B and -Vid-4B (2026): Molmo2 with a head that points by choosing patches.

Source: hub configuration_molmo_point.py and modeling_molmo_point.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from molmo_ros.molmo.config import MolmoConfig, PointHeadConfig
from molmo_ros.molmo.errors import CheckpointError, UnsupportedModelError
from molmo_ros.molmo.families import molmo2
from molmo_ros.molmo.families.family import Family
from molmo_ros.molmo.families.reading import require
from molmo_ros.molmo.families.tensor_names import (
    EMBEDDINGS,
    NORMS,
    TensorNames,
    attention_names,
    mlp_names,
    vision_names,
)
from molmo_ros.molmo.images.stretched_style import STRETCHED

# `im_patch` can be pointed at, `im_low` cannot.
TOKEN_KEYS = molmo2.TOKEN_KEYS | {"im_low": "image_non_indexable_patch_id"}
PATCH_TOKENS = ("im_patch", "im_low")
# The only values that released models have; others would change the scores.
SETTINGS = {
    "patch_location": "3x3",
    "no_more_points_class": True,
    "patch_embedding_kind": "image_feature0",
    "embed_selected_vit_patch": "linear",
    "embed_location": False,
    "layer_norm_x": True,
    "norm_logits": True,
    "mask_patches": "always",
    "mask_subpatches": "inference",
    "mask_repeats": "inference",
    "token_prediction_rotary": "one_d",
}


def read_config(raw: dict[str, Any]) -> MolmoConfig:
    """Molmo2's nested configs, and the point head's settings beside them."""
    for key, value in SETTINGS.items():
        require(raw, key, value)
    adapter, text = raw["adapter_config"], raw["text_config"]
    if adapter.get("positional_embeddings") is not None:
        raise UnsupportedModelError(
            f"positional_embeddings is {adapter['positional_embeddings']!r:.200}, not null"
        )
    vision = molmo2.read_vision(raw["vit_config"], adapter)
    connector = molmo2.read_connector(adapter, vision, text["hidden_size"])
    decoder = molmo2.read_decoder(text, tied_head=False)
    require(raw, "tie_word_embeddings", False)
    missing = [TOKEN_KEYS[name] for name in PATCH_TOKENS if raw.get(TOKEN_KEYS[name]) is None]
    if missing:
        raise CheckpointError(f"config.json of model_type 'molmo_point' lacks {', '.join(missing)}")
    return MolmoConfig(
        "molmo_point",
        vision,
        replace(connector, pooling_output=adapter.get("attention_pooling_out_layer", False)),
        replace(decoder, extra_head=True),
        image_block=True,
        token_ids={name: raw[key] for name, key in TOKEN_KEYS.items() if raw.get(key) is not None},
        patch_tokens=PATCH_TOKENS,
        point_head=PointHeadConfig(
            width=raw["patch_embed_dim"],
            rope_theta=raw["token_prediction_rotary_theta"],
            patch_id=raw["patch_token_id"],
            subpatch_id=raw["subpatch_token_id"],
            location_id=raw["location_token_id"],
        ),
    )


def write_config(config: MolmoConfig, dtype: str) -> dict[str, Any]:
    """The config.json that `read_config` reads back as `config`."""
    head = config.point_head
    assert head is not None, "a MolmoPoint config has a point head"
    adapter = molmo2.write_connector(config.connector, config.vision)
    adapter |= {
        "attention_pooling_out_layer": config.connector.pooling_output,
        "positional_embeddings": None,
    }
    return {
        "model_type": "molmo_point",
        "architectures": ["MolmoPointForConditionalGeneration"],
        "dtype": dtype,
        "tie_word_embeddings": False,
        "vit_config": molmo2.write_vision(config.vision),
        "adapter_config": adapter,
        "text_config": molmo2.write_decoder(config.decoder),
        **SETTINGS,
        "patch_embed_dim": head.width,
        "token_prediction_rotary_theta": head.rope_theta,
        "patch_token_id": head.patch_id,
        "subpatch_token_id": head.subpatch_id,
        "location_token_id": head.location_id,
        **{TOKEN_KEYS[name]: number for name, number in config.token_ids.items()},
    }


FAMILY = Family(
    name="molmo_point",
    members="MolmoPoint-8B, -GUI-8B, -Vid-4B",
    image_style=STRETCHED,
    image_types=r"molmo_?point.*",
    prompt=replace(molmo2.PROMPT, low_res_patch="<im_low>"),
    tensor_names=TensorNames(
        (
            *EMBEDDINGS,
            *NORMS,
            *vision_names("model.vit", "model.connector"),
            (r"decoder\.head\.weight", "lm_head.output_embeddings"),
            (r"decoder\.extra_head\.weight", "lm_head.new_output_embeddings"),
            *attention_names("self_attn."),
            *mlp_names("mlp."),
            (r"point_head\.norm\.", "model.point_predictor.x_norm."),
            (r"point_head\.patch_query\.", "model.point_predictor.patch_q."),
            (r"point_head\.patch_key\.", "model.point_predictor.patch_k."),
            (r"point_head\.subpatch_query\.", "model.point_predictor.subpatch_q."),
            (r"point_head\.subpatch_key\.", "model.point_predictor.subpatch_k."),
            (r"point_head\.location\.", "model.point_predictor.subpatch_loc_k."),
            (r"point_head\.no_more_points", "model.point_predictor.add_no_point_class_embed.vector"),
            (r"point_head\.subpatch_embedding\.", "model.build_vit_embedding."),
        )
    ),
    read_config=read_config,
    write_config=write_config,
)
