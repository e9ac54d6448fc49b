"""The shape of a Molmo model, read from a Hugging Face config.json.

One set of dataclasses covers the dense members of both families (Molmo-7B-D, 7B-O and 72B of 0924; Molmo2-4B,
ER, 8B and O-7B). Everything in which they differ is a value here, so that the modules never ask for a family.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from molmo_ros.molmo.errors import CheckpointError, UnsupportedModelError

SUPPORTED = (
    "model_type 'molmo' (Molmo-7B-D, Molmo-7B-O, Molmo-72B of 0924) and 'molmo2' (Molmo2-4B, -ER, -8B, -O-7B)"
)


@dataclass(frozen=True)
class VisionConfig:
    """The vision transformer.

    Attributes:
        width: Width of the residual stream.
        layers: How many blocks the architecture declares; a checkpoint may hold fewer.
        feature_layers: Blocks (from 0) whose outputs are joined in this order; later ones are not built.
        patch_size: Side of a patch [px].
        grid: Patches of one crop (rows, columns).
        class_token: Whether a learned class token goes before the patches (and is dropped from the features).
        pre_norm: Whether a LayerNorm comes before the first block.
        float32_attention: Whether attention runs in float32 whatever the dtype of the weights.
    """

    width: int
    layers: int
    heads: int
    head_dim: int
    mlp_width: int
    activation: Literal["quick_gelu", "gelu_tanh"]
    norm_eps: float
    patch_size: int
    grid: tuple[int, int]
    feature_layers: tuple[int, ...]
    class_token: bool
    patch_bias: bool
    pre_norm: bool
    float32_attention: bool = True

    @property
    def patches(self) -> int:
        """Patches of one crop."""
        return self.grid[0] * self.grid[1]

    @property
    def patch_values(self) -> int:
        """Values of one flattened RGB patch."""
        return 3 * self.patch_size**2

    @property
    def blocks_used(self) -> int:
        """Blocks up to the deepest one whose output is a feature."""
        return max(self.feature_layers) + 1

    @property
    def feature_width(self) -> int:
        """Width of the concatenated features."""
        return self.width * len(self.feature_layers)


@dataclass(frozen=True)
class ConnectorConfig:
    """Attention pooling of patches, then the gated projection into the decoder's embedding space.

    Attributes:
        width: Output width of the pooling attention.
        hidden_width: Inner width of the projector.
        output_width: Width of the decoder.
        pool: Patches per pooled token (rows, columns).
        mask_empty_slots: Whether slots without a patch are left out of the mean query and of the attention
            (otherwise they count as zero vectors).
        pad_embed: Whether patches that lie wholly or partly in the padding get a learned embedding.
    """

    feature_width: int
    width: int
    heads: int
    head_dim: int
    hidden_width: int
    output_width: int
    pool: tuple[int, int] = (2, 2)
    mask_empty_slots: bool = True
    pad_embed: bool = False
    float32_attention: bool = True


@dataclass(frozen=True)
class RopeScaling:
    """YaRN scaling of the rotary embedding (arXiv:2309.00071) and the layers that use it."""

    factor: float
    original_length: int
    layers: tuple[int, ...]
    attention_factor: float | None = None
    beta_fast: float = 32.0
    beta_slow: float = 1.0


@dataclass(frozen=True)
class DecoderConfig:
    """The language model.

    Attributes:
        vocab: Rows of the base embedding, and of the output head.
        extra_vocab: Further embedding rows for special tokens, which the head cannot produce.
        mlp_width: Real inner width of the MLP (the fused projection has twice as many rows).
        norm_after: Whether norms apply to the outputs of the sub-layers instead of to their inputs.
        qk_norm: RMSNorm of queries and keys: "none", "head" (per head) or "full" (before the split in heads).
        tied_head: Whether the output head is the base embedding itself.
    """

    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp_width: int
    vocab: int
    extra_vocab: int
    qkv_bias: bool
    qk_norm: Literal["none", "head", "full"]
    norm_after: bool
    norm_eps: float
    rope_theta: float
    max_positions: int
    rope_scaling: RopeScaling | None = None
    tied_head: bool = False


@dataclass(frozen=True)
class MolmoConfig:
    """A whole model.

    Attributes:
        family: "molmo" (0924) or "molmo2": which layout of files the checkpoint has.
        image_block: Whether all image tokens attend to each other in the prefill (Molmo2) or causally (0924).
        token_ids: Ids of the image tokens by name (im_start, im_end, im_patch, im_col, low_res_im_start,
            im_low, frame_start, frame_end), as far as config.json tells; the tokenizer is the authority.
    """

    family: Literal["molmo", "molmo2"]
    vision: VisionConfig
    connector: ConnectorConfig
    decoder: DecoderConfig
    image_block: bool
    token_ids: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> MolmoConfig:
        """Reads a parsed config.json, of the hub or as transformers saves it.

        Raises:
            CheckpointError: The family or one of its settings is not supported, or a key is missing.
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
            raise CheckpointError(
                f"config.json of model_type {family!r} lacks the key {missing}"
            ) from missing
        except (TypeError, ValueError, AttributeError, ZeroDivisionError) as wrong:
            raise CheckpointError(
                f"config.json of model_type {family!r} has a wrong value: {wrong}"
            ) from wrong
        _check(config)
        return config

    @classmethod
    def from_folder(cls, folder: str | Path) -> MolmoConfig:
        """Reads `folder`/config.json.

        Raises:
            CheckpointError: No such folder or file, not JSON, or a model that is not supported.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise CheckpointError(f"no such checkpoint folder: {folder}")
        path = folder / "config.json"
        if not path.is_file():
            raise CheckpointError(f"{folder} has no config.json")
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path} is not valid JSON: {error}") from error
        if not isinstance(raw, dict):
            raise CheckpointError(f"{path} holds a {type(raw).__name__}, not an object")
        try:
            return cls.from_dict(raw)
        except CheckpointError as error:
            raise type(error)(f"{path}: {error}") from error


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
