# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Folders whose weights another program packed: the method is named, and what to do."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from molmo_ros.molmo.errors import UnsupportedModelError
from molmo_ros.molmo.families.table import parse_config
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"
CURE = r"Take the 16-bit model .*molmo-ros build MODEL --precision int4"
# As the programs' own documentation shows them.
SETTINGS = [
    (
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        "bitsandbytes in 4 bits",
    ),
    ({"load_in_8bit": True, "llm_int8_threshold": 6.0}, "bitsandbytes in 8 bits"),
    ({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False}, "GPTQ in 4 bits"),
    ({"quant_method": "awq", "bits": 4, "version": "gemm", "zero_point": True}, "AWQ in 4 bits"),
    ({"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}, "FP8"),
    ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, "compressed-tensors"),
    ({"quant_method": "hqq", "quant_config": {}}, "HQQ"),
    ({"quant_method": "something new"}, "something new"),
    ({}, "a method that is not named"),
    ("int4", "a method that is not named"),
]


@pytest.mark.parametrize("variant", ["molmo-7b-d-tiny", "molmo2-4b-tiny", "molmoe-1b-tiny"])
@pytest.mark.parametrize("settings, name", SETTINGS)
def test_what_config_json_says(variant, settings, name):
    raw = json.loads((VECTORS / variant / "config.json").read_text())
    with pytest.raises(UnsupportedModelError, match=f"packed by {name}.*{CURE}.*delete quantization_config"):
        parse_config(raw | {"quantization_config": settings})
    with pytest.raises(UnsupportedModelError, match=f"packed by {name}.*{CURE}"):
        parse_config(raw | {"text_config": {**raw.get("text_config", {}), "quantization_config": settings}})


def test_settings_of_null_say_nothing():
    raw = json.loads((VECTORS / "molmo2-4b-tiny" / "config.json").read_text())
    assert parse_config(raw | {"quantization_config": None}) == parse_config(raw)


INT32, UINT8 = torch.int32, torch.uint8
TENSORS = {
    "bitsandbytes": {
        "weight": torch.zeros(1152, 1, dtype=UINT8),
        "weight.absmax": torch.zeros(36),
        "weight.quant_map": torch.zeros(16),
        "weight.quant_state.bitsandbytes__nf4": torch.zeros(60, dtype=UINT8),
    },
    "bitsandbytes ": {"weight": torch.zeros(48, 48, dtype=torch.int8), "SCB": torch.zeros(48)},
    "GPTQ": {
        "qweight": torch.zeros(6, 48, dtype=INT32),
        "qzeros": torch.zeros(1, 6, dtype=INT32),
        "scales": torch.zeros(1, 48, dtype=torch.float16),
        "g_idx": torch.zeros(48, dtype=INT32),
    },
    "AWQ": {
        "qweight": torch.zeros(48, 6, dtype=INT32),
        "qzeros": torch.zeros(1, 6, dtype=INT32),
        "scales": torch.zeros(1, 48, dtype=torch.float16),
    },
    "FP8": {"weight": torch.zeros(48, 48).to(torch.float8_e4m3fn), "weight_scale_inv": torch.ones(1, 1)},
    "FP8 ": {"weight": torch.zeros(48, 48).to(torch.float8_e4m3fn)},
    "compressed-tensors": {
        "weight_packed": torch.zeros(48, 6, dtype=INT32),
        "weight_scale": torch.ones(48, 1),
        "weight_shape": torch.tensor([48, 48]),
    },
}


@pytest.mark.parametrize("name", TENSORS)
def test_what_the_tensors_say(tmp_path, name):
    """Without a word in config.json, as where only the weights were exchanged."""
    shutil.copyfile(VECTORS / "molmo2-4b-tiny" / "config.json", tmp_path / "config.json")
    tensors = load_file(VECTORS / "molmo2-4b-tiny" / "model.safetensors")
    for key in [key for key in tensors if key.endswith("self_attn.attn_out.weight")]:
        del tensors[key]
        tensors |= {
            f"{key.removesuffix('weight')}{part}": value.clone() for part, value in TENSORS[name].items()
        }
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UnsupportedModelError, match=f"packed by {name.strip()}; .*{CURE}"):
        load_checkpoint(tmp_path)


def test_gguf_is_named(tmp_path):
    shutil.copyfile(VECTORS / "molmo2-4b-tiny" / "config.json", tmp_path / "config.json")
    (tmp_path / "molmo-Q4_K_M.gguf").write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=rf"only molmo-Q4_K_M.gguf: GGUF.*{CURE}"):
        load_checkpoint(tmp_path)
