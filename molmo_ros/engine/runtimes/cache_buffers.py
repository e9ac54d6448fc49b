# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The KV cache of an engine of TensorRT."""

from __future__ import annotations

from math import ceil, prod

import torch
from torch import Tensor

from molmo_ros.engine.runtimes.tensorrt_engine import ALIGNMENT, aligned
from molmo_ros.molmo.config import DecoderConfig


class CacheBuffers:
    """Keys and values of every layer, in one allocation that stays where it is.

    An engine that updates in place finds each at one address, going in and coming out. For one that does not, there
    are two copies: a pass reads the one and writes the other, and then they change roles.

    Attributes:
        memory: uint8; all of it.
        turn: Which copy holds the cache; always 0 where there is one.
    """

    def __init__(
        self, config: DecoderConfig, slots: int, dtype: torch.dtype, device: torch.device, in_place: bool
    ) -> None:
        """Allocates.

        Args:
            config: The decoder's shape.
            slots: Of the cache.
            dtype: Of keys and values.
            device: Where they are.
            in_place: Whether the engine updates in place.
        """
        names = [f"{part}_{layer}" for layer in range(config.layers) for part in ("key", "value")]
        shape = (1, config.kv_heads, slots, config.head_dim)
        size = prod(shape) * dtype.itemsize
        room = ceil(size / ALIGNMENT) * ALIGNMENT
        copies = 1 if in_place else 2
        self.memory = aligned((copies, len(names), room), torch.uint8, device)
        self.turn, self._names = 0, names
        self._parts = self.memory[..., :size].view(dtype).unflatten(-1, shape)
        self._written = 0

    def tensors(self) -> dict[str, Tensor]:
        """What the next pass takes and gives, by the graph's names; each [1, kv_heads, slots, head_dim]."""
        past, present = self._parts[self.turn], self._parts[self._next]
        inputs = {f"past_{name}": tensor for name, tensor in zip(self._names, past, strict=True)}
        return inputs | {f"present_{name}": tensor for name, tensor in zip(self._names, present, strict=True)}

    def writes(self, end: int) -> None:
        """To be told before every pass, which may fail on its way, at which slot its tokens end."""
        self._written = max(self._written, end)

    def passed(self) -> None:
        """To be told of every pass that went through."""
        self.turn = self._next

    def wipe(self, end: int) -> None:
        """Clears what earlier prompts left behind slot `end`.

        A masked slot counts 0 times what it holds, which is not 0 where a failed answer left infinities.
        """
        if self._written > end:
            self._parts[self.turn, ..., end : self._written, :] = 0
        self._written = end

    @property
    def _next(self) -> int:
        return (self.turn + 1) % len(self._parts)
