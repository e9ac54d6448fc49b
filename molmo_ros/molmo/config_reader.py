"""Reading the config.json of a checkpoint, as the hub has it or as transformers saves it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal

from molmo_ros.molmo.config import ConnectorConfig, DecoderConfig, MolmoConfig, RopeScaling, VisionConfig
from molmo_ros.molmo.errors import CheckpointError, UnsupportedModelError

SUPPORTED = (
    "model_type 'molmo' (Molmo-7B-D, Molmo-7B-O, Molmo-72B of 0924) and 'molmo2' (Molmo2-4B, -ER, -8B, -O-7B)"
)
# What config.json calls the ids of the image tokens.
MOLMO2_TOKEN_KEYS = {
    "im_start": "image_start_token_id",
    "im_end": "image_end_token_id",
    "im_patch": "image_patch_id",
    "im_col": "image_col_id",
    "low_res_im_start": "low_res_image_start_token_id",
    "im_low": "image_low_res_id",
    "frame_start": "frame_start_token_id",
    "frame_end": "frame_end_token_id",
}


def read_config(raw: dict[str, Any]) -> MolmoConfig:
    """The config of a parsed config.json.

    Raises:
        CheckpointError: The family or one of its settings is not supported, or a value is missing or wrong.
    """
    family = raw.get("model_type")
    experts = raw.get("moe_num_experts") or raw.get("num_experts")
    if experts:
        raise UnsupportedModelError(
            f"this is a mixture of experts ({experts} experts, as MolmoE-1B), which is not supported; "
            f"supported: {SUPPORTED}"
        )
    readers = {"molmo": _read_molmo, "molmo2": _read_molmo2}
    if not isinstance(family, str) or family not in readers:
        raise UnsupportedModelError(f"model_type {family!r} is not supported; supported: {SUPPORTED}")
    try:
        config = readers[family](raw)
    except CheckpointError:
        raise
    except KeyError as missing:
        raise CheckpointError(f"config.json of model_type {family!r} lacks the key {missing}") from missing
    except (TypeError, ValueError, AttributeError, ZeroDivisionError) as wrong:
        raise CheckpointError(f"config.json of model_type {family!r} has a wrong value: {wrong}") from wrong
    _check(config)
    return config


def _read_molmo(raw: dict[str, Any]) -> MolmoConfig:
    """0924: a flat config; the vision part is a constant of hub modeling_molmo.py unless written out."""
    _require(raw, "clip_qkv", None)
    _require(raw, "layer_norm_type", "rms")
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
    vision = VisionConfig(
        width=vit["image_emb_dim"],
        layers=vit["image_num_layers"],
        heads=vit["image_num_heads"],
        head_dim=vit["image_head_dim"],
        mlp_width=vit["image_mlp_dim"],
        activation=_activation(vit["image_mlp_activations"]),
        norm_eps=vit["image_norm_eps"],
        patch_size=vit["image_patch_size"],
        grid=_grid(vit["image_default_input_size"], vit["image_patch_size"]),
        feature_layers=_absolute_layers(raw.get("vit_layers") or [-2, -9], vit["image_num_layers"]),
        class_token=True,
        patch_bias=False,
        pre_norm=True,
    )
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
        qk_norm="full" if raw.get("attention_layer_norm", False) else "none",
        norm_after=raw.get("norm_after", False),
        norm_eps=raw["layer_norm_eps"],
        rope_theta=raw["rope_theta"],
        max_positions=raw["max_position_embeddings"],
        tied_head=bool(raw.get("tie_word_embeddings") or raw.get("weight_tying")),
    )
    connector = ConnectorConfig(
        feature_width=vision.feature_width,
        width=vision.width,
        heads=vision.heads,
        head_dim=vision.head_dim,
        hidden_width=mlp_width,
        output_width=width,
        mask_empty_slots=False,
        pad_embed=True,
    )
    ids = raw.get("special_token_ids") or {}
    return MolmoConfig("molmo", vision, connector, decoder, image_block=False, token_ids=dict(ids))


def _read_molmo2(raw: dict[str, Any]) -> MolmoConfig:
    """Molmo2: nested configs, under the hub's key names or under those of transformers."""
    vit = raw["vit_config"] if "vit_config" in raw else raw["vision_config"]
    adapter, text = raw["adapter_config"], raw["text_config"]
    _require(adapter, "hidden_act", "silu")
    _require(text, "hidden_act", "silu")
    image_size = vit.get("image_default_input_size") or vit.get("image_size") or [378, 378]
    patch_size = vit.get("image_patch_size") or vit.get("patch_size") or 14
    layers = adapter.get("vit_layers") or adapter.get("vision_feature_layer") or [-3, -9]
    vision = VisionConfig(
        width=vit["hidden_size"],
        layers=vit["num_hidden_layers"],
        heads=vit["num_attention_heads"],
        head_dim=vit["head_dim"],
        mlp_width=vit["intermediate_size"],
        activation=_activation(vit["hidden_act"]),
        norm_eps=vit["layer_norm_eps"],
        patch_size=patch_size,
        grid=_grid(image_size, patch_size),
        feature_layers=_absolute_layers(layers, vit["num_hidden_layers"]),
        class_token=False,
        patch_bias=True,
        pre_norm=False,
        float32_attention=vit.get("float32_attention", True),
    )
    connector = ConnectorConfig(
        feature_width=vision.feature_width,
        width=adapter["hidden_size"],
        heads=adapter["num_attention_heads"],
        head_dim=adapter["head_dim"],
        hidden_width=adapter["intermediate_size"],
        output_width=text["hidden_size"],
        mask_empty_slots=adapter.get("pooling_attention_mask", True),
        float32_attention=adapter.get("float32_attention", True),
    )
    rope = text.get("rope_parameters") or {}
    norm_eps = text["layer_norm_eps"] if "layer_norm_eps" in text else text["rms_norm_eps"]
    decoder = DecoderConfig(
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
        tied_head=bool(raw.get("tie_word_embeddings", False)),
    )
    ids = {name: raw[key] for name, key in MOLMO2_TOKEN_KEYS.items() if raw.get(key) is not None}
    return MolmoConfig("molmo2", vision, connector, decoder, image_block=True, token_ids=ids)


def _require(raw: dict[str, Any], key: str, value: str | None) -> None:
    """Refuses another value of a setting that has only one in the released models."""
    if raw.get(key, value) != value:
        raise UnsupportedModelError(f"{key} is {raw[key]!r}; only {value!r} is supported")


def _activation(name: str) -> Literal["quick_gelu", "gelu_tanh"]:
    known: dict[str, Literal["quick_gelu", "gelu_tanh"]] = {
        "quick_gelu": "quick_gelu",
        "gelu_pytorch_tanh": "gelu_tanh",
    }
    if name not in known:
        names = ", ".join(known)
        raise UnsupportedModelError(f"vision activation {name!r} is not supported; supported: {names}")
    return known[name]


def _qk_norm(text: dict[str, Any]) -> Literal["none", "head", "full"]:
    if not text.get("use_qk_norm", True):
        return "none"
    kinds: dict[str, Literal["head", "full"]] = {"qwen3": "head", "olmo": "full"}
    kind = text.get("qk_norm_type", "qwen3")
    if kind not in kinds:
        raise UnsupportedModelError(f"qk_norm_type {kind!r} is not supported; supported: {', '.join(kinds)}")
    return kinds[kind]


def _rope_scaling(text: dict[str, Any]) -> RopeScaling | None:
    scaling = text.get("rope_scaling") or text.get("rope_parameters") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return None
    if kind != "yarn":
        raise UnsupportedModelError(f"rope_type {kind!r} is not supported; supported: default, yarn")
    for key in ("mscale", "mscale_all_dim"):
        _require(scaling, key, None)
    if scaling.get("truncate") is False:
        raise UnsupportedModelError("YaRN with truncate false is not supported")
    layers = text.get("rope_scaling_layers")
    return RopeScaling(
        factor=scaling["factor"],
        original_length=scaling.get("original_max_position_embeddings") or text["max_position_embeddings"],
        layers=tuple(range(text["num_hidden_layers"]) if layers is None else layers),
        attention_factor=scaling.get("attention_factor"),
        beta_fast=scaling.get("beta_fast") or 32.0,
        beta_slow=scaling.get("beta_slow") or 1.0,
    )


def _grid(image_size: list[int], patch_size: int) -> tuple[int, int]:
    rows, columns = image_size
    return rows // patch_size, columns // patch_size


def _absolute_layers(layers: list[int], count: int) -> tuple[int, ...]:
    outside = [layer for layer in layers if not -count <= layer < count]
    if outside:
        raise CheckpointError(
            f"vit_layers {layers}: {outside} lie outside the {count} layers of the vision tower"
        )
    return tuple(layer % count for layer in layers)


def _check(config: MolmoConfig) -> None:
    """Refuses numbers that no model can be built from."""
    decoder, vision = config.decoder, config.vision
    for part in (vision, config.connector, decoder):
        for item in fields(part):
            value = getattr(part, item.name)
            number = isinstance(value, int if item.type == "int" else (int, float)) and not isinstance(
                value, bool
            )
            lowest = 0 if item.name == "extra_vocab" else 1
            if item.type == "int" and not (number and value >= lowest):
                raise CheckpointError(
                    f"{type(part).__name__}.{item.name} is {value!r}, not a positive integer"
                )
            if item.type == "float" and not (number and value > 0):
                raise CheckpointError(
                    f"{type(part).__name__}.{item.name} is {value!r}, not a positive number"
                )
    if decoder.kv_heads < 1 or decoder.heads % decoder.kv_heads:
        raise CheckpointError(
            f"{decoder.heads} attention heads cannot share {decoder.kv_heads} key/value heads"
        )
    if decoder.head_dim % 2:
        raise CheckpointError(f"head_dim {decoder.head_dim} is odd; the rotary embedding needs an even one")
    if min(vision.grid) < 1:
        raise CheckpointError(f"the crop holds no whole patch of {vision.patch_size} px: grid {vision.grid}")
