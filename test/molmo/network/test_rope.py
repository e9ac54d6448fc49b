# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Rotary embeddings against transformers' tables and against complex rotation."""

import pytest
import torch
from transformers import PreTrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from molmo_ros.molmo.config import RopeScaling
from molmo_ros.molmo.network.rope import RotaryEmbedding, rotate


def test_rotation_is_a_complex_product():
    embedding = RotaryEmbedding(8, 10000.0)
    positions = torch.tensor([[0, 1, 7, 4000]])
    x = torch.randn(1, 3, 4, 8)
    turned = rotate(x, *embedding(positions))
    angles = positions[0].double()[:, None] * 10000.0 ** (-torch.arange(4).double() * 2 / 8)
    expected = torch.complex(x[..., :4].double(), x[..., 4:].double()) * torch.polar(
        torch.ones_like(angles), angles
    )
    found = torch.complex(turned[..., :4].double(), turned[..., 4:].double())
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(found[:, :, :3], expected[:, :, :3], atol=1e-5, rtol=0)


@pytest.mark.parametrize("factor", [2.0, 8.0])
@pytest.mark.parametrize("attention_factor", [None, 1.25])
@pytest.mark.parametrize(("head_dim", "original"), [(16, 256), (128, 8192), (32, 64)])
def test_yarn_matches_transformers(factor, attention_factor, head_dim, original):
    parameters = {
        "rope_type": "yarn",
        "rope_theta": 500000.0,
        "factor": factor,
        "attention_factor": attention_factor,
        "beta_fast": 32,
        "beta_slow": 1,
        "original_max_position_embeddings": original,
    }
    config = PreTrainedConfig()
    config.rope_parameters = parameters
    config.head_dim, config.hidden_size, config.num_attention_heads = head_dim, head_dim * 2, 2
    config.max_position_embeddings = int(original * factor)
    frequencies, magnitude = ROPE_INIT_FUNCTIONS["yarn"](config, torch.device("cpu"))
    scaling = RopeScaling(factor, original, (0,), attention_factor)
    cosine, sine = RotaryEmbedding(head_dim, 500000.0, scaling)(torch.arange(50)[None])
    angles = torch.arange(50)[:, None].float() * frequencies
    torch.testing.assert_close(cosine[0, 0, :, : head_dim // 2], angles.cos() * magnitude, atol=1e-5, rtol=0)
    torch.testing.assert_close(sine[0, 0, :, head_dim // 2 :], angles.sin() * magnitude, atol=1e-5, rtol=0)


def test_bfloat16_is_rotated_in_float32():
    embedding = RotaryEmbedding(8, 10000.0)
    x = torch.randn(1, 1, 3, 8).bfloat16()
    rotary = embedding(torch.tensor([[100, 2000, 3001]]))
    turned = rotate(x, *rotary)
    assert turned.dtype == torch.bfloat16
    torch.testing.assert_close(turned, rotate(x.float(), *rotary).bfloat16(), atol=0, rtol=0)
