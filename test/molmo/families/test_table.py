# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Hub config.json files, as published and as saved by transformers, to `MolmoConfig`."""

import copy
import json
from pathlib import Path

import pytest

from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.errors import CheckpointError, UnsupportedModelError
from molmo_ros.molmo.families.table import family, parse_config

VECTORS = Path(__file__).parents[2] / "vectors"
DENSE = ["molmo-7b-d", "molmo-7b-o", "molmo-72b", "molmo2-4b", "molmo2-8b", "molmo2-o-7b"]

# The flat keys of the published 0924 config.json files; their vision part is not in the file.
COMMON_0924 = {
    "model_type": "molmo",
    "clip_qkv": None,
    "layer_norm_type": "rms",
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    "weight_tying": False,
    "use_cache": True,
}
PUBLISHED_0924 = {
    "7B-D": {
        "num_hidden_layers": 28,
        "hidden_size": 3584,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 37888,
        "vocab_size": 152064,
        "embedding_size": 152064,
        "qkv_bias": True,
        "attention_layer_norm": False,
        "norm_after": False,
        "layer_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
    },
    "7B-O": {
        "num_hidden_layers": 32,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": None,
        "intermediate_size": 22016,
        "vocab_size": 100278,
        "embedding_size": 100352,
        "qkv_bias": False,
        "attention_layer_norm": True,
        "norm_after": True,
        "layer_norm_eps": 1e-6,
        "rope_theta": 500000.0,
    },
    "72B": {
        "num_hidden_layers": 80,
        "hidden_size": 8192,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "intermediate_size": 59136,
        "vocab_size": 152064,
        "embedding_size": 152064,
        "qkv_bias": True,
        "attention_layer_norm": False,
        "norm_after": False,
        "layer_norm_eps": 1e-5,
        "rope_theta": 1000000.0,
    },
}
# Parameters without the unused last vision block, from the published totals: 7B-D has 8,021,025,280 in all.
VISION_BLOCK = 4 * (1024 * 1024 + 1024) + 2 * 1024 * 4096 + 4096 + 1024 + 4 * 1024


def molmo2_text(**changes):
    return {
        "head_dim": 128,
        "vocab_size": 151936,
        "additional_vocab_size": 128,
        "qkv_bias": False,
        "hidden_act": "silu",
        "num_key_value_heads": 8,
        "num_attention_heads": 32,
        "max_position_embeddings": 36864,
        "rope_scaling": None,
        "rope_scaling_layers": None,
        "use_qk_norm": True,
        "qk_norm_type": "qwen3",
        "layer_norm_eps": 1e-6,
        "norm_after": False,
        "num_hidden_layers": 36,
    } | changes


def molmo2(text):
    return {
        "model_type": "molmo2",
        "tie_word_embeddings": False,
        "text_config": text,
        "image_patch_id": 151938,
        "vit_config": {
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "head_dim": 72,
            "hidden_act": "gelu_pytorch_tanh",
            "layer_norm_eps": 1e-6,
            "image_default_input_size": [378, 378],
            "image_patch_size": 14,
            "image_num_pos": 729,
        },
        "adapter_config": {
            "vit_layers": [-3, -9],
            "pooling_attention_mask": True,
            "hidden_size": 1152,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "head_dim": 72,
            "hidden_act": "silu",
            "text_hidden_size": text["hidden_size"],
            "intermediate_size": text["intermediate_size"],
        },
    }


def parameters(config):
    torch = pytest.importorskip("torch")
    from molmo_ros.molmo.network.model import MolmoModel

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in MolmoModel(config).parameters())


def test_published_7b_d_has_the_published_number_of_parameters():
    config = parse_config(COMMON_0924 | PUBLISHED_0924["7B-D"])
    assert config.vision.feature_layers == (21, 14)
    assert config.vision.grid == (24, 24)
    assert parameters(config) + VISION_BLOCK == 8_021_025_280


def test_published_7b_o_norms_after_and_over_the_whole_projection():
    decoder = parse_config(COMMON_0924 | PUBLISHED_0924["7B-O"]).decoder
    assert (decoder.norm_after, decoder.qk_norm, decoder.kv_heads, decoder.vocab) == (
        True,
        "full",
        32,
        100352,
    )
    assert decoder.mlp_width == 11008


def test_published_72b():
    config = parse_config(COMMON_0924 | PUBLISHED_0924["72B"])
    assert (config.decoder.norm_eps, config.decoder.head_dim, config.decoder.mlp_width) == (1e-5, 128, 29568)
    assert 73.2e9 < parameters(config) < 73.4e9


def test_published_molmo2_4b_has_the_published_number_of_parameters():
    text = molmo2_text(hidden_size=2560, intermediate_size=9728, rope_theta=5000000.0)
    config = parse_config(molmo2(text))
    assert config.vision.feature_layers == (24, 18)
    assert config.vision.blocks_used == 25
    # The text part without the output head, which is stored as a copy of the embedding; then the head.
    assert parameters(config) == 439_117_264 + 4_022_795_776 + 151936 * 2560


def test_published_molmo2_8b_has_the_published_number_of_parameters():
    text = molmo2_text(hidden_size=4096, intermediate_size=12288, rope_theta=1000000.0)
    assert 8.65e9 < parameters(parse_config(molmo2(text))) < 8.67e9


def test_molmo2_o_7b_scales_rope_in_the_listed_layers_only():
    yarn = {
        "rope_type": "yarn",
        "factor": 8.0,
        "attention_factor": 1.2079441541679836,
        "beta_fast": 32,
        "beta_slow": 1,
        "original_max_position_embeddings": 8192,
    }
    text = molmo2_text(
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_key_value_heads=32,
        vocab_size=100278,
        norm_after=True,
        qk_norm_type="olmo",
        rope_theta=500000.0,
        rope_scaling=yarn,
        rope_scaling_layers=[3, 7, 11, 15, 19, 23, 27, 31],
    )
    config = parse_config(molmo2(text))
    assert config.decoder.rope_scaling.layers == (3, 7, 11, 15, 19, 23, 27, 31)
    assert config.decoder.qk_norm == "full"
    assert 7.7e9 < parameters(config) < 7.8e9


@pytest.mark.parametrize("variant", DENSE)
def test_written_config_reads_back_equal(variant):
    config = read_config(VECTORS / f"{variant}-tiny")
    assert (
        parse_config(json.loads(json.dumps(family(config.family).write_config(config, "float32")))) == config
    )


def test_molmo2_names_its_image_tokens():
    raw = json.loads((VECTORS / "molmo2-4b-tiny" / "config.json").read_text())
    ids = parse_config(raw).token_ids
    assert ids["im_patch"] == raw["image_patch_id"]
    assert ids["low_res_im_start"] == raw["low_res_image_start_token_id"]


@pytest.mark.parametrize("model_type", ["llama", None, 3, ["molmo"]])
def test_unknown_model_type(model_type):
    with pytest.raises(UnsupportedModelError, match="supported: 'molmo'"):
        parse_config({"model_type": model_type})


@pytest.mark.parametrize(
    ("variant", "path", "value", "message"),
    [
        ("molmo-7b-d", ("hidden_size",), "56", "hidden_size|wrong value"),
        ("molmo-7b-d", ("num_hidden_layers",), 0, "layers is 0"),
        ("molmo-7b-d", ("num_attention_heads",), 0, "wrong value"),
        ("molmo-7b-d", ("num_key_value_heads",), 3, "cannot share 3"),
        ("molmo-7b-d", ("layer_norm_eps",), -1.0, "norm_eps is -1.0"),
        ("molmo-7b-d", ("vit_layers",), [-2, -90], "-90"),
        ("molmo-7b-d", ("clip_qkv",), 8.0, "clip_qkv is 8.0"),
        ("molmo2-4b", ("text_config", "hidden_act"), "relu", "hidden_act is 'relu'"),
        ("molmo2-4b", ("text_config", "qk_norm_type"), "other", "qwen3, olmo"),
        ("molmo2-4b", ("text_config", "rope_scaling"), {"rope_type": "llama3"}, "llama3"),
        ("molmo2-o-7b", ("text_config", "rope_scaling_layers"), [1, 4], r"\[4\] lie outside the 4 layers"),
        ("molmo2-4b", ("vit_config", "hidden_act"), "relu", "quick_gelu"),
        ("molmo2-4b", ("vit_config",), 5, "wrong value"),
        ("molmo2-4b", ("vit_config", "image_default_input_size"), [7, 7], "grid"),
        ("molmopoint-8b", ("patch_embed_dim",), 25, "patch_embed_dim 25 is odd"),
        ("molmopoint-8b", ("patch_embed_dim",), "24", "width is '24'"),
        ("molmopoint-8b", ("token_prediction_rotary_theta",), 0, "rope_theta is 0"),
        ("molmopoint-8b", ("location_token_id",), 448, r"\[448\] lie outside the 448 embeddings"),
        ("molmopoint-8b", ("subpatch_token_id",), None, "subpatch_id is None"),
        ("molmopoint-8b", ("image_non_indexable_patch_id",), None, "lacks image_non_indexable_patch_id"),
        ("molmopoint-8b", ("no_more_points_class",), False, "no_more_points_class is False"),
        ("molmopoint-8b", ("adapter_config", "positional_embeddings"), 16, "positional_embeddings is 16"),
        ("molmopoint-8b", ("adapter_config", "head_dim"), 8, "2 pooling heads of 8 give 16 values"),
    ],
)
def test_values_that_no_model_can_be_built_from(variant, path, value, message):
    raw = json.loads((VECTORS / f"{variant}-tiny" / "config.json").read_text())
    place = raw
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(CheckpointError, match=message):
        parse_config(raw)


YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 8192}
TEXT, VIT, SCALING = ("text_config",), ("vit_config",), ("text_config", "rope_scaling")


@pytest.mark.parametrize(
    ("variant", "path", "value", "message"),
    [
        ("molmo-7b-d", ("num_hidden_layers",), 10**6, "DecoderConfig.layers is 1000000, .* up to 1024"),
        ("molmo2-4b", (*TEXT, "num_hidden_layers"), 10**12, "layers is 1000000000000, .* up to 1024"),
        ("molmo2-4b", (*TEXT, "num_hidden_layers"), 20000, "layers is 20000, .* up to 1024"),
        ("molmo2-4b", (*VIT, "num_hidden_layers"), 10**9, "VisionConfig.layers is 1000000000, .* up to 1024"),
        ("molmoe-1b", ("moe_num_experts",), 10**9, "DecoderConfig.experts is 1000000000, .* up to 4096"),
        ("molmo2-4b", (*TEXT, "head_dim"), 10**12, "head_dim is 1000000000000, .* up to 4096"),
        ("molmopoint-8b", ("patch_embed_dim",), 10**12, "PointHeadConfig.width is 1000000000000"),
        ("molmo2-4b", (*TEXT, "hidden_size"), 1e18, "output_width is 1e[+]18, not a positive integer"),
        ("molmo2-4b", (*TEXT, "intermediate_size"), 10**18, "mlp_width is 1000000000000000000, not"),
        ("molmoe-1b", ("mlp_hidden_size",), 1e20, "is 5e[+]19, not a positive integer"),
        ("molmo-7b-d", ("hidden_size",), 10**400, "width is 1000"),
        (
            "molmo2-4b",
            (*VIT, "image_default_input_size"),
            [378.0, 378.0],
            r"\[378.0, 378.0\], not two integers",
        ),
        ("molmo2-4b", (*VIT, "image_patch_size"), 14.0, "patch_size is 14.0, not a positive integer"),
        ("molmo2-4b", ("adapter_config", "vit_layers"), [-3.0, -9.0], r"vit_layers is \[-3.0, -9.0\], not"),
        ("molmo2-4b", ("adapter_config", "vit_layers"), [True, False], r"vit_layers is \[True, False\], not"),
        ("molmo2-4b", ("adapter_config", "vit_layers"), [-3] * 2000, "not at most 1024 integers"),
        ("molmo2-o-7b", (*TEXT, "rope_scaling_layers"), [1.0], r"RopeScaling.layers is \(1.0,\), not"),
        ("molmo2-4b", (*TEXT, "norm_after"), "no", "norm_after is 'no', not true or false"),
        ("molmo2-4b", (*TEXT, "qkv_bias"), 1, "qkv_bias is 1, not true or false"),
        ("molmo2-4b", (*TEXT, "use_qk_norm"), "no", "use_qk_norm is 'no', not true or false"),
        ("molmo2-4b", ("tie_word_embeddings",), "no", "tie_word_embeddings is 'no', not true or false"),
        ("molmo-7b-d", ("attention_layer_norm",), "no", "attention_layer_norm is 'no', not true or false"),
        ("molmo2-4b", (*TEXT, "layer_norm_eps"), float("inf"), "norm_eps is inf, not a positive number"),
        ("molmo2-4b", (*TEXT, "layer_norm_eps"), float("nan"), "norm_eps is nan, not a positive number"),
        ("molmo2-4b", (*TEXT, "rope_theta"), float("inf"), "rope_theta is inf, not a positive number"),
        ("molmo2-4b", (*TEXT, "rope_theta"), 10**400, "rope_theta is 1000"),
        ("molmo2-4b", SCALING, YARN | {"factor": "abc"}, "RopeScaling.factor is 'abc'"),
        ("molmo2-4b", SCALING, YARN | {"factor": None}, "RopeScaling.factor is None"),
        ("molmo2-4b", SCALING, YARN | {"factor": 0}, "RopeScaling.factor is 0"),
        ("molmo2-4b", SCALING, YARN | {"factor": -2}, "RopeScaling.factor is -2"),
        ("molmo2-4b", SCALING, YARN | {"factor": 0.5}, "RopeScaling.factor is 0.5, not at least 1"),
        ("molmo2-4b", SCALING, YARN | {"original_max_position_embeddings": "x"}, "original_length is 'x'"),
        ("molmo2-4b", SCALING, YARN | {"original_max_position_embeddings": -5}, "original_length is -5"),
        ("molmo2-4b", SCALING, YARN | {"beta_fast": "x"}, "beta_fast is 'x'"),
        ("molmo2-4b", SCALING, YARN | {"beta_slow": 64}, "beta_fast is 32.0, not at least beta_slow, 64"),
        ("molmo2-4b", SCALING, YARN | {"attention_factor": "x"}, "attention_factor is 'x'"),
        ("molmo2-4b", (*TEXT, "rope_parameters"), YARN | {"rope_theta": 1.0}, "YaRN needs at least 2"),
    ],
)
def test_values_of_the_wrong_type_or_out_of_range(variant, path, value, message):
    """Before anything is allocated by them: each of these ended in a hang, in no memory or in another error."""
    raw = json.loads((VECTORS / f"{variant}-tiny" / "config.json").read_text())
    assert parse_config(copy.deepcopy(raw))
    place = raw
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(CheckpointError, match=message):
        parse_config(raw)


def test_yarn_in_every_layer_of_too_many():
    raw = json.loads((VECTORS / "molmo2-4b-tiny" / "config.json").read_text())
    raw["text_config"] |= {"rope_scaling": YARN}
    layers = raw["text_config"]["num_hidden_layers"]
    assert parse_config(copy.deepcopy(raw)).decoder.rope_scaling.layers == tuple(range(layers))
    raw["text_config"] |= {"num_hidden_layers": 10**9}
    with pytest.raises(CheckpointError, match="num_hidden_layers is 1000000000, not an integer up to 1024"):
        parse_config(raw)


@pytest.mark.parametrize("variant", ["molmo-7b-d", "molmo2-4b"])
def test_missing_keys_are_named(variant):
    raw = json.loads((VECTORS / f"{variant}-tiny" / "config.json").read_text())
    for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "rope_theta", "layer_norm_eps"):
        broken = copy.deepcopy(raw)
        del broken.get("text_config", broken)[key]
        with pytest.raises(CheckpointError, match=key if key != "layer_norm_eps" else "eps"):
            parse_config(broken)
