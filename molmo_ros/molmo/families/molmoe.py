# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""MolmoE-1B of September 2024: vision part and prompts of the dense models, an OLMoE decoder.

Source: hub config_molmoe.py and modeling_molmoe.py; OLMoE, arXiv:2409.02060. In one thing this does not follow
modeling_molmoe.py: there a crop's features become zero when any of its values is exactly -1, which was meant for
crops that are all padding, and which the dense models' code does only to those.
"""

from __future__ import annotations

import re
from typing import Any

from molmo_ros.molmo.config import DecoderConfig, MolmoConfig
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.families import molmo
from molmo_ros.molmo.families.family import Family
from molmo_ros.molmo.families.reading import flag, require
from molmo_ros.molmo.families.tensor_names import EMBEDDINGS, StoredPart, TensorNames, attention_names
from molmo_ros.molmo.images.padded_style import PADDED

# Settings with a single supported value. Where one of the first kind is missing, config_molmoe.py means another.
WRITTEN = {
    "rope": True,
    "rope_impl": "llama",
    "include_bias": False,
    "image_pooling_2d": "attention-meanq",
    "image_padding_embed": "pad_and_partial_pad",
}
FIXED = {
    "block_type": "moe",
    "layer_norm_type": "rms",
    # The reference norms the attention's output then, but still the input of the experts.
    "norm_after": False,
    "moe_shared_expert": False,
    "moe_interleave": False,
    # As transformers' OLMoE names it; the reference never renormalises.
    "norm_topk_prob": False,
    "clip_qkv": None,
    "alibi": False,
    "rope_full_precision": True,
    "use_position_ids": True,
    "normalize_input_embeds": False,
    "scale_logits": False,
    "attn_logit_softcapping": None,
    "final_logit_softcapping": None,
    "image_pooling_h": 2,
    "image_pooling_w": 2,
    "image_projector": "mlp",
    "use_cls_feature": False,
    "unconditioned": False,
}


def read_config(raw: dict[str, Any]) -> MolmoConfig:
    """A flat config under OLMo's names (d_model, n_heads, …)."""
    for key, value in (WRITTEN | FIXED).items():
        require(raw, key, value)
    missing = [key for key in WRITTEN if key not in raw]
    if missing:
        raise CheckpointError(f"config.json of a model with experts lacks {', '.join(missing)}")
    vision = molmo.read_vision(raw)
    width, heads = raw["d_model"], raw["n_heads"]
    # As in the dense models, the size counts both halves of the gated projection.
    mlp_width = (raw.get("mlp_hidden_size") or raw["mlp_ratio"] * width) // 2
    decoder = DecoderConfig(
        width=width,
        layers=raw["n_layers"],
        heads=heads,
        kv_heads=raw.get("n_kv_heads") or (1 if flag(raw, "multi_query_attention") else heads),
        head_dim=raw.get("head_dim") or width // heads,
        mlp_width=mlp_width,
        vocab=raw.get("embedding_size") or raw["vocab_size"],
        extra_vocab=raw.get("additional_vocab_size", 128),
        qkv_bias=raw.get("qkv_bias", False),
        qk_norm="full" if flag(raw, "attention_layer_norm") else "none",
        norm_after=False,
        norm_eps=raw.get("layer_norm_eps", 1e-5),
        rope_theta=raw["rope_theta"],
        max_positions=raw.get("max_position_embeddings") or raw["max_sequence_length"],
        tied_head=flag(raw, "tie_word_embeddings") or flag(raw, "weight_tying"),
        experts=raw["moe_num_experts"],
        experts_per_token=raw["moe_top_k"],
    )
    connector = molmo.connector_config(vision, mlp_width, width)
    ids = raw.get("special_token_ids") or {}
    return MolmoConfig("molmoe", vision, connector, decoder, image_block=False, token_ids=dict(ids))


def write_config(config: MolmoConfig, dtype: str) -> dict[str, Any]:
    """The config.json that `read_config` reads back as `config`."""
    decoder = config.decoder
    return {
        "model_type": "molmo",
        "architectures": ["OLMoForCausalLM"],
        "torch_dtype": dtype,
        **WRITTEN,
        **FIXED,
        "d_model": decoder.width,
        "n_layers": decoder.layers,
        "n_heads": decoder.heads,
        "n_kv_heads": decoder.kv_heads,
        "head_dim": decoder.head_dim,
        "mlp_hidden_size": 2 * decoder.mlp_width,
        "mlp_ratio": 1,
        "moe_num_experts": decoder.experts,
        "moe_top_k": decoder.experts_per_token,
        "max_position_embeddings": decoder.max_positions,
        "max_sequence_length": decoder.max_positions,
        "rope_theta": decoder.rope_theta,
        "layer_norm_eps": decoder.norm_eps,
        "qkv_bias": decoder.qkv_bias,
        "attention_layer_norm": decoder.qk_norm == "full",
        "vocab_size": decoder.vocab,
        "embedding_size": decoder.vocab,
        "additional_vocab_size": decoder.extra_vocab,
        "weight_tying": decoder.tied_head,
        "vit_layers": list(config.vision.feature_layers),
        "vision_backbone": molmo.write_vision(config.vision),
        "special_token_ids": dict(config.token_ids),
    }


def expert_pieces(own: str, shape: tuple[int, ...]) -> list[StoredPart] | None:
    """The hub's tensors of each expert, which `MolmoModel` keeps stacked [experts, ...], up before gate."""
    found = re.fullmatch(r"decoder\.blocks\.(\d+)\.mlp\.experts\.(up_gate|down)", own)
    if not found:
        return None
    block, part = found.groups()
    experts, rows, columns = shape
    hub = f"model.transformer.blocks.{block}.mlp.experts"
    if part == "down":
        return [StoredPart(f"{hub}.{e}.down_proj.weight", (rows, columns), (e,)) for e in range(experts)]
    half = rows // 2
    return [
        StoredPart(f"{hub}.{e}.{name}_proj.weight", (half, columns), (e, where))
        for e in range(experts)
        for name, where in (("up", slice(0, half)), ("gate", slice(half, rows)))
    ]


FAMILY = Family(
    name="molmoe",
    members="MolmoE-1B of 0924",
    image_style=PADDED,
    image_types=r"molmoe",
    prompt=molmo.PROMPT,
    tensor_names=TensorNames(
        (
            *EMBEDDINGS,
            *molmo.VISION_NAMES,
            (r"decoder\.head\.", "lm_head."),
            *attention_names("attn."),
            (r"decoder\.blocks\.(\d+)\.attention_norm\.", r"model.transformer.blocks.\1.attn.attn_norm."),
            (r"decoder\.blocks\.(\d+)\.mlp_norm\.", r"model.transformer.blocks.\1.mlp.ff_norm."),
            (r"decoder\.blocks\.(\d+)\.mlp\.router\.", r"model.transformer.blocks.\1.mlp.gate."),
        ),
        stack=expert_pieces,
    ),
    read_config=read_config,
    write_config=write_config,
)
