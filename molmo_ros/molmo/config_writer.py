"""Writing a config.json as the hub's checkpoints have it, from a `MolmoConfig`."""

from __future__ import annotations

from typing import Any

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.config_reader import MOLMO2_TOKEN_KEYS

ACTIVATIONS = {"quick_gelu": "quick_gelu", "gelu_tanh": "gelu_pytorch_tanh"}
QK_NORMS = {"none": "qwen3", "head": "qwen3", "full": "olmo"}


def write_config(config: MolmoConfig, dtype: str) -> dict[str, Any]:
    """The config.json that `MolmoConfig.from_dict` reads back as `config`.

    Args:
        config: The model's shape.
        dtype: Name of the dtype of the stored weights.
    """
    return {"molmo": _molmo, "molmo2": _molmo2}[config.family](config, dtype)


def _molmo(config: MolmoConfig, dtype: str) -> dict[str, Any]:
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
        "vision_backbone": {
            "image_default_input_size": [side * vision.patch_size for side in vision.grid],
            "image_patch_size": vision.patch_size,
            "image_pos_patch_size": vision.patch_size,
            "image_emb_dim": vision.width,
            "image_num_heads": vision.heads,
            "image_num_key_value_heads": vision.heads,
            "image_num_layers": vision.layers,
            "image_head_dim": vision.head_dim,
            "image_mlp_dim": vision.mlp_width,
            "image_mlp_activations": ACTIVATIONS[vision.activation],
            "image_num_pos": vision.patches + 1,
            "image_norm_eps": vision.norm_eps,
        },
        "special_token_ids": dict(config.token_ids),
    }


def _molmo2(config: MolmoConfig, dtype: str) -> dict[str, Any]:
    vision, connector, decoder = config.vision, config.connector, config.decoder
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
    ids = {MOLMO2_TOKEN_KEYS[name]: number for name, number in config.token_ids.items()}
    return {
        "model_type": "molmo2",
        "architectures": ["Molmo2ForConditionalGeneration"],
        "dtype": dtype,
        "tie_word_embeddings": decoder.tied_head,
        "vit_config": {
            "model_type": "molmo2",
            "hidden_size": vision.width,
            "intermediate_size": vision.mlp_width,
            "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.heads,
            "num_key_value_heads": vision.heads,
            "head_dim": vision.head_dim,
            "hidden_act": ACTIVATIONS[vision.activation],
            "layer_norm_eps": vision.norm_eps,
            "image_default_input_size": [side * vision.patch_size for side in vision.grid],
            "image_patch_size": vision.patch_size,
            "image_num_pos": vision.patches,
            "float32_attention": vision.float32_attention,
        },
        "adapter_config": {
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
        },
        "text_config": {
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
            "qk_norm_type": QK_NORMS[decoder.qk_norm],
            "norm_after": decoder.norm_after,
            "layer_norm_eps": decoder.norm_eps,
            "rope_theta": decoder.rope_theta,
            "rope_scaling": rope,
            "rope_scaling_layers": None if scaling is None else list(scaling.layers),
            "max_position_embeddings": decoder.max_positions,
            "tie_word_embeddings": decoder.tied_head,
        },
        **ids,
    }
