# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Keys and values of every layer, in memory that is allocated once."""

from __future__ import annotations

import torch
from torch import Tensor

from molmo_ros.molmo.config import DecoderConfig
from molmo_ros.molmo.errors import PromptError


class KVCache:
    """Preallocated [layers, B, kv_heads, max_len, head_dim], written in place.

    Attributes:
        length: How many slots are filled. Setting it back (`truncate`) forgets what came after.
        max_len: How many slots there are.
    """

    def __init__(
        self,
        config: DecoderConfig,
        max_len: int,
        *,
        batch: int = 1,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (config.layers, batch, config.kv_heads, max_len, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.max_len = max_len
        self.length = 0

    def keep(self, old: KVCache) -> None:
        """Holds what a shorter one holds, from now on."""
        self.keys[..., : old.length, :] = old.keys[..., : old.length, :]
        self.values[..., : old.length, :] = old.values[..., : old.length, :]
        self.length = old.length

    def give_back(self) -> None:
        """Frees the memory, also where others have views of it; the cache holds nothing any more, and has no room."""
        for memory in (self.keys, self.values):
            memory.untyped_storage().resize_(0)
        self.keys = self.values = self.keys.new_empty(0)
        self.length = self.max_len = 0

    def reserve(self, count: int) -> int:
        """Returns the slot at which the next `count` entries start.

        Raises:
            PromptError: They do not fit.
        """
        if self.length + count > self.max_len:
            raise PromptError(
                f"the KV cache holds {self.max_len} positions: {self.length} are used, {count} more wanted"
            )
        return self.length

    def write(self, layer: int, start: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Writes [B, kv_heads, L, head_dim] at `start`; returns views of everything up to the end of it."""
        end = start + key.shape[2]
        self.keys[layer, :, :, start:end] = key
        self.values[layer, :, :, start:end] = value
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def truncate(self, length: int) -> None:
        """Forgets everything from slot `length` on, as to ask something else about the same image."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot truncate to {length}: the cache holds {self.length}")
        self.length = length
