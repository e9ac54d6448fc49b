# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A fold changes nothing that a block computes, in every dense model."""

from pathlib import Path

import pytest
import torch

from molmo_ros.engine.quantisation.folding import Folding
from molmo_ros.engine.quantisation.formats import DOWN, LINEARS, OUTPUT, QKV, UP_GATE
from molmo_ros.molmo.network.rope import RotaryEmbedding
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"
DENSE = sorted(path.name for path in VECTORS.glob("*-tiny") if not path.name.startswith("molmoe"))


@pytest.fixture(params=DENSE)
def model(request):
    model = load_checkpoint(VECTORS / request.param)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in model.decoder.blocks.named_parameters():
            if name.endswith(("norm.weight", "bias")):  # those of the vectors may all be alike
                value.copy_(torch.rand_like(value) + 0.5)
    return model


@torch.no_grad()
def output(model, block, x):
    config = model.config.decoder
    rotary = RotaryEmbedding(config.head_dim, config.rope_theta)(torch.arange(9).unsqueeze(0))
    return block(x, rotary, torch.ones(9, 9, dtype=torch.bool).tril()[None, None], None, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_folded_block_computes_the_same(model, dtype):
    config, block = model.config.decoder, model.decoder.blocks[0]
    x = torch.randn(1, 9, config.width)
    want = output(model, block, x)
    folding = Folding(config, {name: value.detach() for name, value in block.named_parameters()}, dtype)
    before = dict(folding.parameters)
    for name in LINEARS:
        if folding.possible(name):
            inputs = folding.parameters[f"{name}.weight"].shape[1]
            folding.fold(name, folding.exact(name, torch.rand(inputs) * 4 + 0.25))
    for name in ("attention_norm.weight", "mlp_norm.weight"):
        if not config.norm_after:
            folded = folding.parameters[name]
            stored = folded.to(dtype).float()
            torch.testing.assert_close(stored, folded, rtol=1e-6, atol=0)  # nothing is lost when it is stored
            assert not torch.equal(folded, before[name])
    for name in ("attention.qkv.weight", "attention.output.weight", "mlp.down.weight"):
        assert not torch.equal(folding.parameters[name], before[name])
    block.load_state_dict(folding.parameters)
    got = output(model, block, x)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4 * float(want.abs().max()))


def test_norms_after_the_layers_take_no_scales(model):
    config = model.config.decoder
    possible = {name for name in LINEARS if Folding(config, {}, torch.float32).possible(name)}
    assert possible == ({OUTPUT, DOWN} if config.norm_after else {QKV, OUTPUT, UP_GATE, DOWN})


def test_the_vectors_have_all_kinds_of_blocks():
    configs = [load_checkpoint(VECTORS / name).config.decoder for name in DENSE]
    assert {config.norm_after for config in configs} == {True, False}
    assert {config.qkv_bias for config in configs} == {True, False}
    assert True in {config.heads > config.kv_heads for config in configs}
    assert {config.qk_norm for config in configs} == {"none", "head", "full"}
