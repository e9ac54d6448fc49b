# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The point head's formulas, written again with loops and complex numbers, and its invariants."""

import math

import pytest
import torch

from molmo_ros.molmo.config import DecoderConfig, PointHeadConfig
from molmo_ros.molmo.network.point_head import NEVER, NOT_POINTABLE, PointHead

WIDTH, FEATURES, HEAD, THETA = 12, 10, 6, 700.0
DECODER = DecoderConfig(
    width=WIDTH, layers=1, heads=1, kv_heads=1, head_dim=12, mlp_width=4, vocab=5, extra_vocab=5,
    qkv_bias=False, qk_norm="none", norm_after=False, norm_eps=1e-6, rope_theta=1e4, max_positions=50,
)  # fmt: skip


@pytest.fixture
def head():
    torch.manual_seed(0)
    head = PointHead(PointHeadConfig(HEAD, THETA, 5, 6, 7), DECODER, FEATURES)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return head.requires_grad_(False)


def turned(vector, position):
    """The rotary embedding as a rotation of complex numbers: half of the vector is real, half imaginary."""
    half = len(vector) // 2
    numbers = torch.complex(vector[:half].double(), vector[half:].double())
    angles = torch.tensor(
        [position / THETA ** (2 * j / len(vector)) for j in range(half)], dtype=torch.float64
    )
    numbers = numbers * torch.polar(torch.ones(half, dtype=torch.float64), angles)
    return torch.cat([numbers.real, numbers.imag])


def normed(head, state):
    return state / math.sqrt(float((state**2).mean()) + 1e-6) * head.norm.weight


@pytest.mark.parametrize("last_patch", [-1, 1, 6])
def test_patch_scores(head, last_patch):
    states = torch.randn(8, WIDTH)
    pointable = torch.tensor([0, 0, 1, 1, 0, 0, 1, 1], dtype=torch.bool)
    positions = [-1, -1, 0, 1, 1, 1, 2, 3]
    keys = head.patch_keys(states, pointable)
    assert keys.positions.tolist() == positions
    state = torch.randn(WIDTH)
    at = max(positions[last_patch], 0) if last_patch >= 0 else 0
    query = turned(head.patch_query(normed(head, state)), at)
    found = head.patch_scores(state, keys, last_patch)
    for number in range(8):
        key = turned(head.patch_key(normed(head, states[number])), positions[number])
        expected = float(query @ key) / 3 if pointable[number] else NOT_POINTABLE
        assert float(found[number]) == pytest.approx(expected, abs=1e-5)
    assert float(found[8]) == pytest.approx(float(query @ head.no_more_points.double()) / 3, abs=1e-5)


def test_only_the_distance_between_patches_counts(head):
    """Equal states: after patch p, patch p + n scores as patch n scores after the first."""
    keys = head.patch_keys(torch.randn(1, WIDTH).expand(9, -1), torch.ones(9, dtype=torch.bool))
    state = torch.randn(WIDTH)
    first, third = head.patch_scores(state, keys, 0), head.patch_scores(state, keys, 3)
    assert torch.allclose(first[:6], third[3:9], atol=1e-5)
    assert not torch.allclose(first[:6], third[:6], atol=1e-3)


def test_subpatch_scores(head):
    state, features = torch.randn(WIDTH), torch.randn(9, FEATURES)
    filled = torch.tensor([True] * 6 + [False] * 3)
    query = head.subpatch_query(normed(head, state))
    found = head.subpatch_scores(state, features, filled)
    for slot in range(9):
        expected = float(query @ head.subpatch_key(features[slot])) / math.sqrt(HEAD) if slot < 6 else NEVER
        assert float(found[slot]) == pytest.approx(expected, abs=1e-5)


def test_locations_are_scored_from_the_state_itself(head):
    state = torch.randn(WIDTH)
    weight, bias = head.location.weight, head.location.bias
    assert torch.allclose(head.location_scores(3 * state), 3 * weight @ state + bias, atol=1e-5)
    assert head.location_scores(state).shape == (9,)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scores_are_float32_in_every_dtype(head, dtype):
    states, state = torch.randn(5, WIDTH), torch.randn(WIDTH)
    pointable = torch.tensor([False, True, True, True, True])
    exact = head.patch_scores(state, head.patch_keys(states, pointable), 2)
    head.to(dtype)
    rough = head.patch_scores(state.to(dtype), head.patch_keys(states.to(dtype), pointable), 2)
    assert rough.dtype == torch.float32 and torch.isfinite(rough).all()
    assert torch.allclose(rough[1:], exact[1:], atol=0.2) and float(rough[0]) == NOT_POINTABLE
