# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""MolmoE's config.json and tensors, as published."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from molmo_ros.molmo.errors import CheckpointError, UnsupportedModelError
from molmo_ros.molmo.families.table import family, parse_config
from molmo_ros.molmo.network.model import MolmoModel
from molmo_ros.molmo.weights.checkpoint import load_checkpoint, save_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"
VARIANTS = ["molmoe-1b-tiny", "molmoe-deep-tiny"]
WEIGHTS = "model.safetensors"

# What the published file says of the network, with the nulls it holds.
PUBLISHED = {
    "model_type": "molmo",
    "architectures": ["OLMoForCausalLM"],
    "activation_type": "swiglu",
    "additional_vocab_size": 128,
    "alibi": False,
    "attention_layer_norm": True,
    "attention_layer_norm_with_affine": True,
    "attn_logit_softcapping": None,
    "bias_for_layer_norm": False,
    "block_type": "moe",
    "clip_qkv": None,
    "d_model": 2048,
    "embedding_size": 50304,
    "final_logit_softcapping": None,
    "float32_attention": True,
    "head_dim": None,
    "image_padding_embed": "pad_and_partial_pad",
    "image_pooling_2d": "attention-meanq",
    "image_pooling_h": 2,
    "image_pooling_w": 2,
    "image_projector": "mlp",
    "include_bias": False,
    "layer_norm_eps": 1e-05,
    "layer_norm_type": "rms",
    "layer_norm_with_affine": True,
    "max_crops": 12,
    "max_position_embeddings": 32768,
    "max_sequence_length": 4096,
    "mlp_hidden_size": None,
    "mlp_ratio": 1,
    "moe_capacity_factor": 1.25,
    "moe_dropless": True,
    "moe_interleave": False,
    "moe_mlp_impl": "sparse",
    "moe_num_experts": 64,
    "moe_shared_expert": False,
    "moe_top_k": 8,
    "multi_query_attention": None,
    "n_heads": 16,
    "n_kv_heads": None,
    "n_layers": 16,
    "norm_after": False,
    "normalize_input_embeds": False,
    "overlap_margins": [4, 4],
    "pad_token_id": 1,
    "precision": "amp_bf16",
    "qkv_bias": False,
    "query_pre_attn_scalar": 224,
    "rope": True,
    "rope_full_precision": True,
    "rope_impl": "llama",
    "rope_theta": 10000.0,
    "scale_logits": False,
    "unconditioned": False,
    "use_cls_feature": False,
    "use_position_ids": True,
    "vision_backbone": {
        "fsdp_wrap": False,
        "image_default_input_size": [336, 336],
        "image_emb_dim": 1024,
        "image_head_dim": 64,
        "image_mlp_activations": "quick_gelu",
        "image_mlp_dim": 4096,
        "image_model_type": "openai",
        "image_norm_eps": 1e-05,
        "image_num_heads": 16,
        "image_num_key_value_heads": 16,
        "image_num_layers": 23,
        "image_num_pos": 577,
        "image_patch_size": 14,
        "image_pos_patch_size": 14,
        "resize_mode": "default",
    },
    "vit_layers": [-2, -9],
    "vocab_size": 50280,
    "weight_tying": False,
}
# The last vision block is stored, but nothing uses it.
VISION_BLOCK = 4 * (1024 * 1024 + 1024) + 2 * 1024 * 4096 + 4096 + 1024 + 4 * 1024


def test_published_config_gives_the_published_number_of_parameters():
    with torch.device("meta"):
        model = MolmoModel(parse_config(PUBLISHED))
    assert model.config.family == "molmoe"
    assert sum(parameter.numel() for parameter in model.parameters()) + VISION_BLOCK == 7_221_875_712


def test_sizes_of_the_published_decoder():
    decoder = parse_config(PUBLISHED).decoder
    assert (decoder.width, decoder.layers, decoder.head_dim) == (2048, 16, 128)
    assert (decoder.heads, decoder.kv_heads, decoder.vocab) == (16, 16, 50304)
    assert (decoder.experts, decoder.experts_per_token, decoder.mlp_width) == (64, 8, 1024)
    assert (decoder.qk_norm, decoder.max_positions) == ("full", 32768)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"mlp_hidden_size": 3000}, {"mlp_width": 1500}),
        ({"mlp_ratio": 4}, {"mlp_width": 4096}),
        (
            {"n_kv_heads": 4, "attention_layer_norm": False, "qkv_bias": True},
            {"kv_heads": 4, "qk_norm": "none"},
        ),
        ({"embedding_size": None}, {"vocab": 50280}),
        ({"max_position_embeddings": None}, {"max_positions": 4096}),
        ({"weight_tying": True}, {"tied_head": True}),
    ],
)
def test_other_sizes(change, wanted):
    decoder = parse_config(PUBLISHED | change).decoder
    assert {name: getattr(decoder, name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rope_impl", "cockatoo"),
        ("rope", False),
        ("alibi", True),
        ("include_bias", True),
        ("norm_after", True),
        ("norm_topk_prob", True),
        ("moe_shared_expert", True),
        ("moe_interleave", True),
        ("normalize_input_embeds", True),
        ("scale_logits", True),
        ("clip_qkv", 8.0),
        ("final_logit_softcapping", 30.0),
        ("image_pooling_2d", "attention"),
        ("image_padding_embed", None),
        ("use_cls_feature", True),
    ],
)
def test_settings_of_another_network_are_refused(key, value):
    with pytest.raises(UnsupportedModelError, match=f"{key} is {value!r}; only"):
        parse_config(PUBLISHED | {key: value})


@pytest.mark.parametrize("key", ["rope_impl", "include_bias", "image_padding_embed", "moe_top_k", "n_layers"])
def test_settings_that_must_be_written(key):
    with pytest.raises(CheckpointError, match=f"lacks .*{key}"):
        parse_config({name: value for name, value in PUBLISHED.items() if name != key})


@pytest.mark.parametrize("chosen", [0, 65, -1])
def test_as_many_experts_as_there_are(chosen):
    with pytest.raises(CheckpointError):
        parse_config(PUBLISHED | {"moe_top_k": chosen})


@pytest.mark.parametrize("change", [{}, {"n_kv_heads": 4, "mlp_hidden_size": 3000, "vit_layers": [-3, -5]}])
def test_written_config_reads_back(change):
    config = parse_config(PUBLISHED | change)
    written = family("molmoe").write_config(config, "float32")
    assert parse_config(json.loads(json.dumps(written))) == config


def test_tensor_names_of_a_real_checkpoint():
    """Names and shapes of the hub's file, for a block, its experts and the head."""
    with torch.device("meta"):
        model = MolmoModel(parse_config(PUBLISHED))
    names = family("molmoe").tensor_names
    stored = {
        piece.name: piece.shape
        for own, value in model.state_dict().items()
        for piece in names.pieces(own, tuple(value.shape))
    }
    block = "model.transformer.blocks.15."
    experts = {
        f"mlp.experts.{number}.{part}_proj.weight": (2048, 1024) if part == "down" else (1024, 2048)
        for number in range(64)
        for part in ("up", "gate", "down")
    }
    assert {name.removeprefix(block): shape for name, shape in stored.items() if name.startswith(block)} == {
        "attn.att_proj.weight": (6144, 2048),
        "attn.attn_out.weight": (2048, 2048),
        "attn.attn_norm.weight": (2048,),
        "attn.q_norm.weight": (2048,),
        "attn.k_norm.weight": (2048,),
        "mlp.gate.weight": (64, 2048),
        "mlp.ff_norm.weight": (2048,),
        **experts,
    }
    assert stored["lm_head.weight"] == (50304, 2048)
    assert stored["model.vision_backbone.image_projector.w1.weight"] == (1024, 1024)
    assert "model.transformer.ff_out.weight" not in stored


@pytest.mark.parametrize("variant", VARIANTS)
def test_experts_are_stacked_in_their_order_up_before_gate(variant):
    stored = load_file(VECTORS / variant / WEIGHTS)
    model = load_checkpoint(VECTORS / variant)
    for number, block in enumerate(model.decoder.blocks):
        hub = f"model.transformer.blocks.{number}.mlp."
        assert torch.equal(block.mlp.router.weight, stored[hub + "gate.weight"])
        for expert in range(model.config.decoder.experts):
            up, gate, down = (
                stored[f"{hub}experts.{expert}.{part}_proj.weight"] for part in ("up", "gate", "down")
            )
            assert torch.equal(block.mlp.experts.up_gate[expert], torch.cat([up, gate]))
            assert torch.equal(block.mlp.experts.down[expert], down)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_saved_loads_again(tmp_path, variant, dtype):
    model = load_checkpoint(VECTORS / variant, dtype=dtype)
    save_checkpoint(model, tmp_path, dtype)
    again = load_checkpoint(tmp_path, dtype=dtype)
    assert again.config == model.config
    before, after = model.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    stored = load_file(VECTORS / variant / WEIGHTS)
    saved = load_file(tmp_path / WEIGHTS)
    last = f".resblocks.{model.config.vision.layers - 1}."
    assert saved.keys() == {name for name in stored if last not in name}
    assert all(torch.equal(value, stored[name].to(value.dtype)) for name, value in saved.items())


def test_a_missing_and_a_misshapen_expert_are_named(tmp_path):
    shutil.copyfile(VECTORS / VARIANTS[0] / "config.json", tmp_path / "config.json")
    tensors = load_file(VECTORS / VARIANTS[0] / WEIGHTS)
    experts = "model.transformer.blocks.1.mlp.experts"
    del tensors[f"{experts}.7.up_proj.weight"]
    tensors[f"{experts}.2.down_proj.weight"] = torch.zeros(64, 31)
    tensors[f"{experts}.8.gate_proj.weight"] = torch.zeros(32, 64)
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(tmp_path)
    message = str(error.value)
    assert f"{experts}.7.up_proj.weight (expected [32, 64])" in message
    assert f"{experts}.2.down_proj.weight (found [64, 31], expected [64, 32])" in message
    assert f"{experts}.8.gate_proj.weight (found [32, 64])" in message
