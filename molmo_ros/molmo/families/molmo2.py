# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Molmo2-4B, -ER, -8B, -O-7B and their relatives (2025/26): SigLIP2 tower, crops stretched, image tokens that
attend to each other, points per mille.

Source: hub configuration_molmo2.py and modeling_molmo2.py; transformers' own Molmo2.
"""

from __future__ import annotations

from typing import Any, Literal

from molmo_ros.molmo.config import ConnectorConfig, DecoderConfig, MolmoConfig, RopeScaling, VisionConfig
from molmo_ros.molmo.errors import CheckpointError, UnsupportedModelError
from molmo_ros.molmo.families.family import Family, PromptStyle, Special
from molmo_ros.molmo.families.reading import (
    ACTIVATION_NAMES,
    MOST_LAYERS,
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
from molmo_ros.molmo.families.transformers_names import other_names
from molmo_ros.molmo.families.wording import WORDING_MOLMO2
from molmo_ros.molmo.images.stretched_style import STRETCHED

# What config.json calls the ids of the image tokens.
TOKEN_KEYS = {
    "im_start": "image_start_token_id",
    "im_end": "image_end_token_id",
    "im_patch": "image_patch_id",
    "im_col": "image_col_id",
    "low_res_im_start": "low_res_image_start_token_id",
    "im_low": "image_low_res_id",
    "frame_start": "frame_start_token_id",
    "frame_end": "frame_end_token_id",
}
QK_NORMS: dict[str, Literal["head", "full"]] = {"qwen3": "head", "olmo": "full"}
TURN = (
    Special("<|im_start|>"),
    "user\n{text}",
    Special("<|im_end|>"),
    "\n",
    Special("<|im_start|>"),
    "assistant\n",
)
PROMPT = PromptStyle(
    turn=TURN,
    low_res_start="<low_res_im_start>",
    low_res_patch="<im_patch>",
    many_images=True,
    wording=WORDING_MOLMO2,
)


def read_config(raw: dict[str, Any]) -> MolmoConfig:
    """Nested configs, under the hub's key names or under those of transformers."""
    vit = raw["vit_config"] if "vit_config" in raw else raw["vision_config"]
    adapter, text = raw["adapter_config"], raw["text_config"]
    vision = read_vision(vit, adapter)
    ids = {name: raw[key] for name, key in TOKEN_KEYS.items() if raw.get(key) is not None}
    return MolmoConfig(
        "molmo2",
        vision,
        read_connector(adapter, vision, text["hidden_size"]),
        # Fine-tuning programs say it in either place; what counts is whether a head is stored.
        read_decoder(text, flag(raw, "tie_word_embeddings") or flag(text, "tie_word_embeddings")),
        image_block=True,
        token_ids=ids,
    )


def read_vision(vit: dict[str, Any], adapter: dict[str, Any]) -> VisionConfig:
    """The SigLIP2 tower; which of its layers are features stands in the adapter's config."""
    image_size = vit.get("image_default_input_size") or vit.get("image_size") or [378, 378]
    patch_size = vit.get("image_patch_size") or vit.get("patch_size") or 14
    layers = adapter.get("vit_layers") or adapter.get("vision_feature_layer") or [-3, -9]
    return VisionConfig(
        width=vit["hidden_size"],
        layers=vit["num_hidden_layers"],
        heads=vit["num_attention_heads"],
        head_dim=vit["head_dim"],
        mlp_width=vit["intermediate_size"],
        activation=activation(vit["hidden_act"]),
        norm_eps=vit["layer_norm_eps"],
        patch_size=patch_size,
        grid=grid(image_size, patch_size),
        feature_layers=absolute_layers(layers, vit["num_hidden_layers"]),
        class_token=False,
        patch_bias=True,
        pre_norm=False,
        float32_attention=vit.get("float32_attention", True),
    )


def read_connector(adapter: dict[str, Any], vision: VisionConfig, output_width: int) -> ConnectorConfig:
    """Pooling by table, and the projector into a decoder of `output_width`."""
    require(adapter, "hidden_act", "silu")
    return ConnectorConfig(
        feature_width=vision.feature_width,
        width=adapter["hidden_size"],
        heads=adapter["num_attention_heads"],
        head_dim=adapter["head_dim"],
        hidden_width=adapter["intermediate_size"],
        output_width=output_width,
        mask_empty_slots=adapter.get("pooling_attention_mask", True),
        float32_attention=adapter.get("float32_attention", True),
    )


def read_decoder(text: dict[str, Any], tied_head: bool) -> DecoderConfig:
    """The Qwen3 or Olmo-3 language model."""
    require(text, "hidden_act", "silu")
    rope = text.get("rope_parameters") or {}
    norm_eps = text["layer_norm_eps"] if "layer_norm_eps" in text else text["rms_norm_eps"]
    return DecoderConfig(
        width=text["hidden_size"],
        layers=text["num_hidden_layers"],
        heads=text["num_attention_heads"],
        kv_heads=text.get("num_key_value_heads") or text["num_attention_heads"],
        head_dim=text["head_dim"],
        mlp_width=text["intermediate_size"],
        vocab=text["vocab_size"],
        extra_vocab=text.get("additional_vocab_size", 128),
        qkv_bias=text.get("qkv_bias", text.get("attention_bias", False)),
        qk_norm=_qk_norm(text),
        norm_after=text.get("norm_after", False),
        norm_eps=norm_eps,
        rope_theta=rope["rope_theta"] if "rope_theta" in rope else text["rope_theta"],
        max_positions=text["max_position_embeddings"],
        rope_scaling=_rope_scaling(text),
        tied_head=tied_head,
    )


def _qk_norm(text: dict[str, Any]) -> Literal["none", "head", "full"]:
    if not flag(text, "use_qk_norm", absent=True):
        return "none"
    kind = text.get("qk_norm_type", "qwen3")
    if kind not in QK_NORMS:
        raise UnsupportedModelError(
            f"qk_norm_type {kind!r:.200} is not supported; supported: {', '.join(QK_NORMS)}"
        )
    return QK_NORMS[kind]


def _rope_scaling(text: dict[str, Any]) -> RopeScaling | None:
    scaling = text.get("rope_scaling") or text.get("rope_parameters") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return None
    if kind != "yarn":
        raise UnsupportedModelError(f"rope_type {kind!r:.200} is not supported; supported: default, yarn")
    for key in ("mscale", "mscale_all_dim"):
        require(scaling, key, None)
    if scaling.get("truncate") is False:
        raise UnsupportedModelError("YaRN with truncate false is not supported")
    count = text["num_hidden_layers"]
    if type(count) is not int or count > MOST_LAYERS:
        raise CheckpointError(f"num_hidden_layers is {count!r:.80}, not an integer up to {MOST_LAYERS}")
    layers = text.get("rope_scaling_layers")
    outside = [layer for layer in layers or () if not 0 <= layer < count]
    if outside:
        raise CheckpointError(f"rope_scaling_layers {outside} lie outside the {count} layers of the decoder")
    return RopeScaling(
        factor=scaling["factor"],
        original_length=scaling.get("original_max_position_embeddings") or text["max_position_embeddings"],
        layers=tuple(range(count) if layers is None else layers),
        attention_factor=scaling.get("attention_factor"),
        beta_fast=scaling.get("beta_fast") or 32.0,
        beta_slow=scaling.get("beta_slow") or 1.0,
    )


def write_config(config: MolmoConfig, dtype: str) -> dict[str, Any]:
    """The config.json, under the hub's key names, that `read_config` reads back as `config`."""
    ids = {TOKEN_KEYS[name]: number for name, number in config.token_ids.items()}
    return {
        "model_type": "molmo2",
        "architectures": ["Molmo2ForConditionalGeneration"],
        "dtype": dtype,
        "tie_word_embeddings": config.decoder.tied_head,
        "vit_config": write_vision(config.vision),
        "adapter_config": write_connector(config.connector, config.vision),
        "text_config": write_decoder(config.decoder),
        **ids,
    }


def write_vision(vision: VisionConfig) -> dict[str, Any]:
    """What `read_vision` reads."""
    return {
        "model_type": "molmo2",
        "hidden_size": vision.width,
        "intermediate_size": vision.mlp_width,
        "num_hidden_layers": vision.layers,
        "num_attention_heads": vision.heads,
        "num_key_value_heads": vision.heads,
        "head_dim": vision.head_dim,
        "hidden_act": ACTIVATION_NAMES[vision.activation],
        "layer_norm_eps": vision.norm_eps,
        "image_default_input_size": [side * vision.patch_size for side in vision.grid],
        "image_patch_size": vision.patch_size,
        "image_num_pos": vision.patches,
        "float32_attention": vision.float32_attention,
    }


def write_connector(connector: ConnectorConfig, vision: VisionConfig) -> dict[str, Any]:
    """What `read_connector` reads, and the feature layers."""
    return {
        "model_type": "molmo2",
        "vit_layers": list(vision.feature_layers),
        "pooling_attention_mask": connector.mask_empty_slots,
        "hidden_size": connector.width,
        "num_attention_heads": connector.heads,
        "num_key_value_heads": connector.heads,
        "head_dim": connector.head_dim,
        "float32_attention": connector.float32_attention,
        "hidden_act": "silu",
        "intermediate_size": connector.hidden_width,
        "text_hidden_size": connector.output_width,
    }


def write_decoder(decoder: DecoderConfig) -> dict[str, Any]:
    """What `read_decoder` reads."""
    scaling = decoder.rope_scaling
    rope = None
    if scaling is not None:
        rope = {
            "rope_type": "yarn",
            "factor": scaling.factor,
            "attention_factor": scaling.attention_factor,
            "beta_fast": scaling.beta_fast,
            "beta_slow": scaling.beta_slow,
            "original_max_position_embeddings": scaling.original_length,
        }
    return {
        "model_type": "molmo2_text",
        "hidden_size": decoder.width,
        "num_hidden_layers": decoder.layers,
        "num_attention_heads": decoder.heads,
        "num_key_value_heads": decoder.kv_heads,
        "head_dim": decoder.head_dim,
        "intermediate_size": decoder.mlp_width,
        "hidden_act": "silu",
        "vocab_size": decoder.vocab,
        "additional_vocab_size": decoder.extra_vocab,
        "qkv_bias": decoder.qkv_bias,
        "use_qk_norm": decoder.qk_norm != "none",
        "qk_norm_type": "olmo" if decoder.qk_norm == "full" else "qwen3",
        "norm_after": decoder.norm_after,
        "layer_norm_eps": decoder.norm_eps,
        "rope_theta": decoder.rope_theta,
        "rope_scaling": rope,
        "rope_scaling_layers": None if scaling is None else list(scaling.layers),
        "max_position_embeddings": decoder.max_positions,
        "tie_word_embeddings": decoder.tied_head,
    }


FAMILY = Family(
    name="molmo2",
    members="Molmo2-4B, -ER, -VideoPoint-4B, -8B, -O-7B",
    image_style=STRETCHED,
    image_types=r"molmo2.*",
    prompt=PROMPT,
    tensor_names=TensorNames(
        (
            *EMBEDDINGS,
            *NORMS,
            *vision_names("model.vision_backbone.image_vit", "model.vision_backbone"),
            (r"decoder\.head\.", "lm_head."),
            *attention_names("self_attn."),
            *mlp_names("mlp."),
        )
    ),
    read_config=read_config,
    write_config=write_config,
    other_names=other_names,
)
