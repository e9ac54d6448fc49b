"""MolmoE-1B of September 2024: vision part and prompts of the dense models, an OLMoE decoder.

Source: hub config_molmoe.py and modeling_molmoe.py; OLMoE, arXiv:2409.02060.
"""

from __future__ import annotations

import re
from typing import Any

from molmo_ros.molmo.config import DecoderConfig, MolmoConfig
from molmo_ros.molmo.families import molmo
from molmo_ros.molmo.families.family import Family
from molmo_ros.molmo.families.reading import require
from molmo_ros.molmo.families.tensor_names import EMBEDDINGS, Piece, TensorNames, attention_names


def read_config(raw: dict[str, Any]) -> MolmoConfig:
    """A flat config under OLMo's names (d_model, n_heads, …)."""
    for key, value in {"clip_qkv": None, "layer_norm_type": "rms", "block_type": "moe", "rope": True}.items():
        require(raw, key, value)
    for key in ("moe_shared_expert", "moe_interleave", "scale_logits", "alibi", "include_bias"):
        require(raw, key, False)
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        require(raw, key, None)
    vision = molmo.read_vision(raw)
    width, heads = raw["d_model"], raw["n_heads"]
    # As in the dense models, the size counts both halves of the gated projection.
    mlp_width = (raw.get("mlp_hidden_size") or raw["mlp_ratio"] * width) // 2
    decoder = DecoderConfig(
        width=width,
        layers=raw["n_layers"],
        heads=heads,
        kv_heads=raw.get("n_kv_heads") or (1 if raw.get("multi_query_attention") else heads),
        head_dim=raw.get("head_dim") or width // heads,
        mlp_width=mlp_width,
        vocab=raw.get("embedding_size") or raw["vocab_size"],
        extra_vocab=raw.get("additional_vocab_size", 128),
        qkv_bias=raw.get("qkv_bias", False),
        qk_norm="full" if raw.get("attention_layer_norm", False) else "none",
        norm_after=raw.get("norm_after", False),
        norm_eps=raw.get("layer_norm_eps", 1e-5),
        rope_theta=raw["rope_theta"],
        max_positions=raw.get("max_position_embeddings") or raw["max_sequence_length"],
        tied_head=bool(raw.get("tie_word_embeddings") or raw.get("weight_tying")),
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
        "block_type": "moe",
        "clip_qkv": None,
        "layer_norm_type": "rms",
        "rope": True,
        "d_model": decoder.width,
        "n_layers": decoder.layers,
        "n_heads": decoder.heads,
        "n_kv_heads": decoder.kv_heads,
        "head_dim": decoder.head_dim,
        "mlp_hidden_size": 2 * decoder.mlp_width,
        "mlp_ratio": 1,
        "moe_num_experts": decoder.experts,
        "moe_top_k": decoder.experts_per_token,
        "moe_shared_expert": False,
        "max_position_embeddings": decoder.max_positions,
        "max_sequence_length": decoder.max_positions,
        "rope_theta": decoder.rope_theta,
        "layer_norm_eps": decoder.norm_eps,
        "qkv_bias": decoder.qkv_bias,
        "attention_layer_norm": decoder.qk_norm == "full",
        "norm_after": decoder.norm_after,
        "vocab_size": decoder.vocab,
        "embedding_size": decoder.vocab,
        "additional_vocab_size": decoder.extra_vocab,
        "weight_tying": decoder.tied_head,
        "vit_layers": list(config.vision.feature_layers),
        "vision_backbone": molmo.write_vision(config.vision),
        "special_token_ids": dict(config.token_ids),
    }


def expert_pieces(own: str, shape: tuple[int, ...]) -> list[Piece] | None:
    """The hub's tensors of each expert, which `MolmoModel` keeps stacked [experts, ...], up before gate."""
    found = re.fullmatch(r"decoder\.blocks\.(\d+)\.mlp\.experts\.(up_gate|down)", own)
    if not found:
        return None
    block, part = found.groups()
    experts, rows, columns = shape
    hub = f"model.transformer.blocks.{block}.mlp.experts"
    if part == "down":
        return [Piece(f"{hub}.{e}.down_proj.weight", (rows, columns), (e,)) for e in range(experts)]
    half = rows // 2
    return [
        Piece(f"{hub}.{e}.{name}_proj.weight", (half, columns), (e, where))
        for e in range(experts)
        for name, where in (("up", slice(0, half)), ("gate", slice(half, rows)))
    ]


FAMILY = Family(
    name="molmoe",
    members="MolmoE-1B of 0924",
    image_style="padded",
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
