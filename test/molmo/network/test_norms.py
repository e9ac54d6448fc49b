# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Norms: the formula and the epsilon of each one in every family, and where RMSNorm casts back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers.models.molmo2.modeling_molmo2 import Molmo2RMSNorm

from molmo_ros.molmo.network.decoder import RMSNorm
from molmo_ros.molmo.reference.tolerance import agree
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"
MODELS = sorted(path.name for path in VECTORS.glob("*-tiny"))
CLIP_EPSILON = 1e-5
"""Of the 0924 models' towers, whose config.json does not name it (OpenAI's CLIP)."""
DECODER, TOWER = 0.3, 0.7
"""Epsilons so large that each one shows; config.json has 1e-5 and 1e-6."""


def with_epsilons(name, folder):
    """A checkpoint whose config.json has these epsilons, and what each norm's should be."""
    raw = json.loads((VECTORS / name / "config.json").read_text())
    tower = CLIP_EPSILON
    if "vit_config" in raw:
        raw["vit_config"]["layer_norm_eps"] = tower = TOWER
        raw["text_config"]["layer_norm_eps"] = DECODER
    else:
        raw["layer_norm_eps"] = DECODER
    (folder / "config.json").write_text(json.dumps(raw))
    (folder / "model.safetensors").symlink_to(VECTORS / name / "model.safetensors")
    return tower


def formula(norm, x, epsilon):
    """In float64, from the definitions (arXiv:1910.07467, arXiv:1607.06450)."""
    x, weight = x.double().numpy(), norm.weight.detach().double().numpy()
    if isinstance(norm, nn.LayerNorm):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
        return weight * scaled + norm.bias.detach().double().numpy()
    return weight * x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon)


@torch.inference_mode()
@pytest.mark.parametrize("name", MODELS)
def test_every_norm_of_every_family(name, tmp_path):
    tower = with_epsilons(name, tmp_path)
    model = load_checkpoint(tmp_path)
    norms = {one: part for one, part in model.named_modules() if isinstance(part, nn.LayerNorm | RMSNorm)}
    kinds = {one.split(".")[-1] for one in norms}
    assert {"attention_norm", "mlp_norm", "norm"} <= kinds and len(norms) > 10
    config = model.config.decoder
    assert ("query_norm" in kinds) == ("key_norm" in kinds) == (config.qk_norm != "none")
    generator = torch.Generator().manual_seed(0)
    for one, norm in norms.items():
        epsilon = tower if one.startswith("vision.") else DECODER
        # So small that CLIP's epsilon shows, too.
        x = 3e-3 * torch.randn(4, norm.weight.shape[0], generator=generator)
        expected = formula(norm, x, epsilon)
        assert agree(norm(x), expected), one
        assert not agree(norm(x), formula(norm, x, 0.9 * epsilon)), one


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rms_norm_casts_back_before_the_weight(dtype):
    """Bit for bit as transformers' own; the other order rounds once less, and gives other values."""
    generator = torch.Generator().manual_seed(1)
    x, weight = (torch.randn(*size, generator=generator).to(dtype) for size in ((64, 96), (96,)))
    ours, theirs = RMSNorm(96, 1e-6).to(dtype), Molmo2RMSNorm(96, 1e-6).to(dtype)
    with torch.no_grad():
        for norm in (ours, theirs):
            norm.weight.copy_(weight)
        expected = theirs(x)
        assert torch.equal(ours(x), expected)
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        other = (weight.float() * wide).to(dtype)
    assert (other != expected).float().mean() > 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@torch.inference_mode()
def test_the_norm_of_a_gpu_casts_back_where_that_of_a_cpu_does(cuda, dtype):
    norm, x = RMSNorm(64, 1e-5), 3 * torch.randn(50, 64, generator=torch.Generator().manual_seed(0))
    norm.weight.data = torch.linspace(0.5, 3, 64)
    norm, x = norm.to(dtype), x.to(dtype)
    with cuda.left_out():
        written = norm(x)
    fused = norm(x)
    assert fused.dtype == dtype
    apart = (fused != written).float().mean()
    # Another order of a float32 sum may round a value to its neighbour, seldom.
    assert torch.allclose(fused.float(), written.float(), rtol=torch.finfo(dtype).eps * 2, atol=1e-6)
    assert apart < (0.02 if dtype != torch.float32 else 1)


@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_a_decoder_with_the_norms_of_a_gpu_gives_the_same_scores(cuda, name):
    decoder = load_checkpoint(VECTORS / name).decoder
    x = torch.randn(1, 5, decoder.config.width, generator=torch.Generator().manual_seed(0))
    places = torch.arange(5)[None]
    mask = torch.ones(5, 5, dtype=torch.bool).tril()[None, None]
    with cuda.left_out():
        expected = decoder(x, places, mask).logits
    assert (decoder(x, places, mask).logits - expected).abs().max() < 1e-5
