# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Both attention implementations against attention written head by head."""

import math

import pytest
import torch

from molmo_ros.molmo.network.attention import KINDS, additive, attend, check_kind


def by_heads(query, key, value, mask):
    """The definition: one query head at a time, its own key/value head, in float64."""
    batch, heads, length, head_dim = query.shape
    group = heads // key.shape[1]
    out = torch.empty(batch, heads, length, head_dim, dtype=torch.float64)
    for b in range(batch):
        for h in range(heads):
            scores = query[b, h].double() @ key[b, h // group].double().T / math.sqrt(head_dim)
            if mask is not None:
                allowed = mask[min(b, mask.shape[0] - 1), 0]
                scores[~allowed.expand_as(scores)] = -math.inf
            out[b, h] = scores.softmax(-1) @ value[b, h // group].double()
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (6, 2), (7, 1)])
@pytest.mark.parametrize("masked", ["no", "shared", "per sequence"])
def test_matches_the_definition(kind, heads, kv_heads, masked):
    generator = torch.Generator().manual_seed(heads)
    query = torch.randn(2, heads, 5, 8, generator=generator)
    key, value = torch.randn(2, 2, kv_heads, 9, 8, generator=generator)
    mask = None
    if masked != "no":
        mask = torch.rand(1 if masked == "shared" else 2, 1, 5, 9, generator=generator) > 0.5
        mask[..., 0] = True
    expected = by_heads(query, key, value, mask)
    torch.testing.assert_close(attend(query, key, value, mask, kind).double(), expected, atol=1e-5, rtol=0)
    if mask is not None:
        added = attend(query, key, value, additive(mask), kind)
        torch.testing.assert_close(added.double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_stays_bfloat16(kind):
    query, key = torch.randn(1, 2, 3, 8).bfloat16(), torch.randn(1, 2, 4, 8).bfloat16()
    assert attend(query, key, key, None, kind).dtype == torch.bfloat16


def test_gradients_agree():
    def gradient(kind):
        generator = torch.Generator().manual_seed(0)
        query = torch.randn(2, 4, 6, 8, generator=generator, requires_grad=True)
        key = torch.randn(2, 2, 6, 8, generator=generator, requires_grad=True)
        mask = torch.ones(6, 6, dtype=torch.bool).tril()[None, None]
        attend(query, key, key, mask, kind).square().sum().backward()
        return query.grad, key.grad

    for one, other in zip(gradient("explicit"), gradient("sdpa"), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_unknown_kind_lists_the_known():
    with pytest.raises(ValueError, match="'flash'.*explicit, sdpa"):
        check_kind("flash")
