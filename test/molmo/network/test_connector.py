# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pooling tables, padding embeddings and empty slots of the connector."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.network.connector import Connector, crop_table

VECTORS = Path(__file__).parents[2] / "vectors"
CONFIG = read_config(VECTORS / "molmo2-4b-tiny").connector


@pytest.fixture(autouse=True)
def inference():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


def test_pooling_without_output_layer_is_pooling_with_an_identity_as_one():
    plain = Connector(replace(CONFIG, pooling_output=False))
    layered = Connector(CONFIG)
    assert not any(name.startswith("pooling.output") for name in plain.state_dict())
    layered.load_state_dict(plain.state_dict(), strict=False)
    layered.pooling.output.weight.copy_(torch.eye(CONFIG.width))
    layered.pooling.output.bias.zero_()
    features, table = torch.randn(1, 40, CONFIG.feature_width), torch.randint(-1, 40, (1, 12, 4))
    assert torch.allclose(plain(features, table), layered(features, table), atol=1e-6)


@pytest.mark.parametrize(
    ("grid", "pool"), [((24, 24), (2, 2)), ((3, 5), (2, 2)), ((4, 7), (2, 3)), ((2, 2), (1, 1))]
)
def test_crop_table_by_counting(grid, pool):
    table = crop_table(grid, pool, 2)
    expected = []
    for crop in range(2):
        for top in range(0, grid[0], pool[0]):
            for left in range(0, grid[1], pool[1]):
                cells = [(top + y, left + x) for y in range(pool[0]) for x in range(pool[1])]
                expected.append(
                    [
                        crop * grid[0] * grid[1] + y * grid[1] + x if y < grid[0] and x < grid[1] else -1
                        for y, x in cells
                    ]
                )
    assert table.flatten(0, 1).tolist() == expected


def test_masked_empty_slots_have_no_influence():
    connector = Connector(CONFIG)
    features = torch.randn(1, 9, CONFIG.feature_width)
    table = torch.tensor([[[3, -1, 7, -1], [0, 1, 2, 4]]])
    found = connector(features, table)
    assert found.shape == (1, 2, CONFIG.output_width)
    torch.testing.assert_close(
        found[:, :1], connector(features, torch.tensor([[[7, 3]]])), atol=1e-5, rtol=1e-4
    )


def test_unmasked_empty_slots_count_as_zero_vectors():
    connector = Connector(replace(CONFIG, mask_empty_slots=False))
    features = torch.randn(1, 9, CONFIG.feature_width)
    features[:, 8] = 0
    found = connector(features, torch.tensor([[[3, -1, 7, -1]]]))
    torch.testing.assert_close(
        found, connector(features, torch.tensor([[[3, 8, 7, 8]]])), atol=1e-6, rtol=1e-5
    )
    assert (found - Connector.forward(connector, features, torch.tensor([[[3, 7]]]))).abs().max() > 1e-4


@pytest.mark.parametrize("kind", ["explicit", "sdpa"])
@pytest.mark.parametrize("masked", [True, False])
def test_tokens_without_patches_are_zero_and_disturb_nobody(kind, masked):
    connector = Connector(replace(CONFIG, mask_empty_slots=masked), kind)
    features = torch.randn(2, 6, CONFIG.feature_width)
    table = torch.tensor([[[0, 1], [-1, -1]], [[-1, -1], [4, 5]]])
    found = connector(features, table)
    assert not found[0, 1].any()
    assert not found[1, 0].any()
    torch.testing.assert_close(found[:1, :1], connector(features[:1], table[:1, :1]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[1:, 1:], connector(features[1:], table[1:, 1:]), atol=1e-5, rtol=1e-4)


def test_rows_of_a_batch_read_their_own_features():
    connector = Connector(CONFIG)
    features = torch.randn(3, 6, CONFIG.feature_width)
    table = torch.randint(0, 6, (3, 4, 4))
    expected = torch.cat([connector(features[n : n + 1], table[n : n + 1]) for n in range(3)])
    torch.testing.assert_close(connector(features, table), expected, atol=1e-5, rtol=1e-4)


def test_padding_embeddings():
    connector = Connector(replace(CONFIG, pad_embed=True))
    connector.pad_embed.copy_(torch.tensor([[10.0], [20.0]]).expand(2, CONFIG.feature_width))
    masks = torch.tensor([[1.0, 0.0, 0.5, -1.0]])
    marked = connector.mark_padding(torch.zeros(1, 4, CONFIG.feature_width), masks)
    assert marked[0, :, 0].tolist() == [0.0, 10.0, 20.0, 20.0]
