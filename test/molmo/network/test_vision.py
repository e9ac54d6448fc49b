# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The vision tower: which blocks are built and read, and that crops do not see each other."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.network.vision import VisionTower
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


@pytest.fixture(params=["molmo-7b-d-tiny", "molmo2-4b-tiny"])
def tower(request):
    return load_checkpoint(VECTORS / request.param).vision


def crops(tower, count):
    config = tower.config
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, config.patches, config.patch_values, generator=generator)


def test_features_are_block_outputs_in_the_configured_order(tower):
    outputs = {}
    for number, block in enumerate(tower.blocks):
        block.register_forward_hook(
            lambda module, args, output, number=number: outputs.update({number: output})
        )
    features = tower(crops(tower, 2))
    skipped = int(tower.config.class_token)
    expected = torch.cat([outputs[layer][:, skipped:] for layer in tower.config.feature_layers], -1)
    assert torch.equal(features, expected)
    assert tower.config.feature_layers[0] > tower.config.feature_layers[1]
    assert len(tower.blocks) == tower.config.feature_layers[0] + 1


def test_crops_are_independent_and_may_have_more_axes(tower):
    batch = crops(tower, 4)
    features = tower(batch)
    torch.testing.assert_close(features[2:3], tower(batch[2:3]), atol=1e-4, rtol=1e-4)
    nested = tower(batch.unflatten(0, (2, 2)))
    assert torch.equal(nested.flatten(0, 1), features)


def test_every_patch_sees_the_whole_crop_and_its_own_place(tower):
    one = crops(tower, 1)
    changed = one.clone()
    changed[0, 0] += 1
    difference = (tower(changed) - tower(one)).abs().amax(-1)[0]
    assert (difference > 0).all()
    same = tower(torch.zeros_like(one))[0]
    assert (same[0] - same[-1]).abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(1, 5, 588), (1, 576, 587), (588,)])
def test_other_shapes_are_refused(shape):
    tower = VisionTower(
        replace(read_config(VECTORS / "molmo-72b-tiny").vision, layers=2, feature_layers=(0,))
    )
    with pytest.raises(ImageError, match=r"must be \(576, 588\)"):
        tower(torch.zeros(shape))


def test_attention_in_16_bit_on_a_gpu_is_as_close_as_in_float32(tower, cuda):
    """Scores and their softmax are float32 in torch's fused kernels; what is left is the rounding of their inputs."""
    x = crops(tower, 1)
    with cuda.left_out():
        truth = tower(x)
        half = tower.half()
        widened = half(x)
        wide = (widened.float() - truth).norm()
    assert any(block.attention.float32 for block in half.blocks)
    narrowed = half(x)
    assert not torch.equal(narrowed, widened)
    narrow = (narrowed.float() - truth).norm()
    assert 0 < narrow < 1.2 * wide and narrow < 0.01 * truth.norm()
