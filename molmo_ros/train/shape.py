# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The embedded checkpoint's config.json: a Molmo2 with everything small but the structure."""

from __future__ import annotations

from typing import Any

from molmo_ros.train.scenes import VIEW
from molmo_ros.train.vocabulary import BASE_SIZE, EXTRA_SIZE, IMAGE_TOKENS

PATCH = 14
GRID = VIEW // PATCH
POOLED = GRID // 2


def config_json() -> dict[str, Any]:
    """config.json in the hub's key names."""
    ids = {name: BASE_SIZE + i for i, name in enumerate(IMAGE_TOKENS)}
    vision = {
        "model_type": "molmo2", "hidden_size": 192, "intermediate_size": 576, "num_hidden_layers": 6,
        "num_attention_heads": 6, "num_key_value_heads": 6, "head_dim": 32, "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-6, "image_default_input_size": [VIEW, VIEW], "image_patch_size": PATCH,
        "image_num_pos": GRID * GRID, "float32_attention": True,
    }  # fmt: skip
    adapter = {
        "model_type": "molmo2", "vit_layers": [-1, -3], "pooling_attention_mask": True, "hidden_size": 192,
        "num_attention_heads": 6, "num_key_value_heads": 6, "head_dim": 32, "float32_attention": True,
        "hidden_act": "silu", "intermediate_size": 384, "text_hidden_size": 192,
    }  # fmt: skip
    text = {
        "model_type": "molmo2_text", "hidden_size": 192, "num_attention_heads": 6, "num_key_value_heads": 2,
        "head_dim": 32, "vocab_size": BASE_SIZE, "additional_vocab_size": EXTRA_SIZE, "qkv_bias": False,
        "num_hidden_layers": 4, "intermediate_size": 512, "hidden_act": "silu", "max_position_embeddings": 2048,
        "rope_theta": 10000.0, "rope_scaling": None, "rope_scaling_layers": None, "use_qk_norm": True,
        "qk_norm_type": "qwen3", "layer_norm_eps": 1e-6, "norm_after": False, "tie_word_embeddings": False,
    }  # fmt: skip
    return {
        "model_type": "molmo2", "architectures": ["Molmo2ForConditionalGeneration"], "tie_word_embeddings": False,
        "vit_config": vision, "adapter_config": adapter, "text_config": text,
        "image_start_token_id": ids["<im_start>"], "low_res_image_start_token_id": ids["<low_res_im_start>"],
        "image_end_token_id": ids["<im_end>"], "image_low_res_id": ids["<im_low>"],
        "image_high_res_id": ids["<im_patch>"], "image_patch_id": ids["<im_patch>"], "image_col_id": ids["<im_col>"],
        "frame_start_token_id": ids["<frame_start>"], "frame_end_token_id": ids["<frame_end>"],
        "use_frame_special_tokens": False,
    }  # fmt: skip
