# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Molmo-7B-D, 7B-O and 72B of September 2024 (arXiv:2409.17146): CLIP tower, crops padded to scale, causal
attention, points as percentages.

Source: hub config_molmo.py and modeling_molmo.py.
"""

from __future__ import annotations

from typing import Any

from molmo_ros.molmo.config import ConnectorConfig, DecoderConfig, MolmoConfig, VisionConfig
from molmo_ros.molmo.families.family import Family, PromptStyle
from molmo_ros.molmo.families.reading import (
    ACTIVATION_NAMES,
    absolute_layers,
    activation,
    flag,
    grid,
    require,
)
from molmo_ros.molmo.families.tensor_names import (
    EMBEDDINGS,
    NORMS,
    TensorNames,
    attention_names,
    mlp_names,
    vision_names,
)
from molmo_ros.molmo.families.wording import WORDING_0924
from molmo_ros.molmo.images.padded_style import PADDED

PROMPT = PromptStyle(
    turn=(" User: {text} Assistant:",),
    low_res_start="<im_start>",
    low_res_patch="<im_patch>",
    many_images=False,
    wording=WORDING_0924,
)
VISION_NAMES = vision_names("model.vision_backbone.image_vit", "model.vision_backbone")


def read_config(raw: dict[str, Any]) -> MolmoConfig:
    """A flat config; the vision part is a constant of modeling_molmo.py unless written out."""
    require(raw, "clip_qkv", None)
    require(raw, "layer_norm_type", "rms")
    vision = read_vision(raw)
    heads, width = raw["num_attention_heads"], raw["hidden_size"]
    # The config counts both halves of the fused projection.
    mlp_width = raw["intermediate_size"] // 2
    decoder = DecoderConfig(
        width=width,
        layers=raw["num_hidden_layers"],
        heads=heads,
        kv_heads=raw.get("num_key_value_heads") or heads,
        head_dim=width // heads,
        mlp_width=mlp_width,
        vocab=raw.get("embedding_size") or raw["vocab_size"],
        extra_vocab=raw.get("additional_vocab_size", 128),
        qkv_bias=raw.get("qkv_bias", False),
        qk_norm="full" if flag(raw, "attention_layer_norm") else "none",
        norm_after=raw.get("norm_after", False),
        norm_eps=raw["layer_norm_eps"],
        rope_theta=raw["rope_theta"],
        max_positions=raw["max_position_embeddings"],
        tied_head=flag(raw, "tie_word_embeddings") or flag(raw, "weight_tying"),
    )
    connector = connector_config(vision, mlp_width, width)
    ids = raw.get("special_token_ids") or {}
    return MolmoConfig("molmo", vision, connector, decoder, image_block=False, token_ids=dict(ids))


def read_vision(raw: dict[str, Any]) -> VisionConfig:
    """The CLIP tower, which is the same for the whole 2024 release."""
    vit: dict[str, Any] = {
        "image_default_input_size": [336, 336],
        "image_patch_size": 14,
        "image_emb_dim": 1024,
        "image_num_heads": 16,
        "image_num_layers": 23,
        "image_head_dim": 64,
        "image_mlp_dim": 4096,
        "image_mlp_activations": "quick_gelu",
        "image_norm_eps": 1e-5,
    } | (raw.get("vision_backbone") or {})
    return VisionConfig(
        width=vit["image_emb_dim"],
        layers=vit["image_num_layers"],
        heads=vit["image_num_heads"],
        head_dim=vit["image_head_dim"],
        mlp_width=vit["image_mlp_dim"],
        activation=activation(vit["image_mlp_activations"]),
        norm_eps=vit["image_norm_eps"],
        patch_size=vit["image_patch_size"],
        grid=grid(vit["image_default_input_size"], vit["image_patch_size"]),
        feature_layers=absolute_layers(raw.get("vit_layers") or [-2, -9], vit["image_num_layers"]),
        class_token=True,
        patch_bias=False,
        pre_norm=True,
    )


def connector_config(vision: VisionConfig, hidden_width: int, output_width: int) -> ConnectorConfig:
    """Pooling within crops, marked padding, and the projector into the decoder."""
    return ConnectorConfig(
        feature_width=vision.feature_width,
        width=vision.width,
        heads=vision.heads,
        head_dim=vision.head_dim,
        hidden_width=hidden_width,
        output_width=output_width,
        crop_pooling=True,
        mask_empty_slots=False,
        pad_embed=True,
    )


def write_config(config: MolmoConfig, dtype: str) -> dict[str, Any]:
    """The config.json that `read_config` reads back as `config`."""
    vision, decoder = config.vision, config.decoder
    return {
        "model_type": "molmo",
        "architectures": ["MolmoForCausalLM"],
        "torch_dtype": dtype,
        "clip_qkv": None,
        "layer_norm_type": "rms",
        "hidden_size": decoder.width,
        "intermediate_size": 2 * decoder.mlp_width,
        "num_hidden_layers": decoder.layers,
        "num_attention_heads": decoder.heads,
        "num_key_value_heads": decoder.kv_heads,
        "max_position_embeddings": decoder.max_positions,
        "rope_theta": decoder.rope_theta,
        "layer_norm_eps": decoder.norm_eps,
        "qkv_bias": decoder.qkv_bias,
        "attention_layer_norm": decoder.qk_norm == "full",
        "norm_after": decoder.norm_after,
        "vocab_size": decoder.vocab,
        "embedding_size": decoder.vocab,
        "additional_vocab_size": decoder.extra_vocab,
        "tie_word_embeddings": decoder.tied_head,
        "weight_tying": decoder.tied_head,
        "vit_layers": list(vision.feature_layers),
        "vision_backbone": write_vision(vision),
        "special_token_ids": dict(config.token_ids),
    }


def write_vision(vision: VisionConfig) -> dict[str, Any]:
    """The tower, spelled out as modeling_molmo.py names its settings."""
    return {
        "image_default_input_size": [side * vision.patch_size for side in vision.grid],
        "image_patch_size": vision.patch_size,
        "image_pos_patch_size": vision.patch_size,
        "image_emb_dim": vision.width,
        "image_num_heads": vision.heads,
        "image_num_key_value_heads": vision.heads,
        "image_num_layers": vision.layers,
        "image_head_dim": vision.head_dim,
        "image_mlp_dim": vision.mlp_width,
        "image_mlp_activations": ACTIVATION_NAMES[vision.activation],
        "image_num_pos": vision.patches + 1,
        "image_norm_eps": vision.norm_eps,
    }


FAMILY = Family(
    name="molmo",
    members="Molmo-7B-D, Molmo-7B-O, Molmo-72B of 0924",
    image_style=PADDED,
    image_types=r"molmo(imageprocessor)?",
    prompt=PROMPT,
    tensor_names=TensorNames(
        (
            *EMBEDDINGS,
            *NORMS,
            *VISION_NAMES,
            (r"decoder\.head\.", "model.transformer.ff_out."),
            *attention_names(""),
            *mlp_names(""),
        )
    ),
    read_config=read_config,
    write_config=write_config,
)
