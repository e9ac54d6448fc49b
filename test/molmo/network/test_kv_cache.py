# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The cache's bookkeeping; that decoding through it is right is tested with the decoder."""

from pathlib import Path

import pytest
import torch

from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.network.kv_cache import KVCache

CONFIG = read_config(Path(__file__).parents[2] / "vectors" / "molmo-72b-tiny").decoder


def test_writes_in_place_and_returns_only_what_is_filled():
    cache = KVCache(CONFIG, 10, batch=2)
    before = cache.keys.data_ptr()
    key = torch.randn(2, CONFIG.kv_heads, 4, CONFIG.head_dim)
    keys, values = cache.write(1, 3, key, 2 * key)
    assert keys.shape == (2, CONFIG.kv_heads, 7, CONFIG.head_dim)
    assert keys.data_ptr() == cache.keys[1].data_ptr()
    assert cache.keys.data_ptr() == before
    torch.testing.assert_close(keys[:, :, 3:], key, atol=0, rtol=0)
    torch.testing.assert_close(values[:, :, 3:], 2 * key, atol=0, rtol=0)
    assert not cache.keys[0].any()


def test_overflow_tells_the_numbers():
    cache = KVCache(CONFIG, 10)
    cache.length = 8
    assert cache.reserve(2) == 8
    with pytest.raises(PromptError, match="holds 10 positions: 8 are used, 3 more"):
        cache.reserve(3)


def test_truncate_only_goes_back():
    cache = KVCache(CONFIG, 10)
    cache.length = 8
    cache.truncate(3)
    assert cache.length == 3
    for length in (4, -1):
        with pytest.raises(ValueError, match="holds 3"):
            cache.truncate(length)
