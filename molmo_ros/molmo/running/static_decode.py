# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Decoding over memory that stays where it is, so that CUDA graphs can be made of it: a token at a time, or a few."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from molmo_ros.molmo.network.attention import additive
from molmo_ros.molmo.network.decoder import Decoder
from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.running.cuda_graphs import CudaGraphs
from molmo_ros.molmo.running.fixed_pass import FixedPass
from molmo_ros.molmo.running.runtime import Cache, StepOutput
from molmo_ros.molmo.running.verify_widths import verify_slots, verify_width

WIDTH_STEP = 256
"""Slots by which the part of a cache that a step reads grows: every width is one recording."""


def read_width(filled: int, slots: int) -> int:
    """How many slots a step reads of a cache of `slots`, `filled` of which hold tokens."""
    return min(math.ceil(filled / WIDTH_STEP) * WIDTH_STEP, slots)


class SlotCache(KVCache):
    """The first slots of another cache, written at places that only the device knows.

    Args:
        whole: The cache whose memory it is.
        places: int64 [n], on the device: where the next tokens go.
        width: How many slots are read.
    """

    def __init__(self, whole: KVCache, places: Tensor, width: int) -> None:
        self.keys, self.values = whole.keys[..., :width, :], whole.values[..., :width, :]
        self.max_len, self.length, self._places = width, 0, places

    def reserve(self, count: int) -> int:
        """They have room: where they go was checked by whoever set the places."""
        assert count == len(self._places)
        return 0

    def write(self, layer: int, start: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Writes [B, kv_heads, n, head_dim] to their places; returns everything that is read, filled or not."""
        keys, values = self.keys[layer], self.values[layer]
        return keys.index_copy_(2, self._places, key), values.index_copy_(2, self._places, value)


class StaticDecode:
    """One KV cache for everybody, and passes over one token or a few that go to it.

    Attributes:
        graphs: The recordings of one token; `graphs.refused` says why there are none.
        passes: Those of a few tokens.
    """

    def __init__(self, decoder: Decoder, dtype: torch.dtype, device: torch.device) -> None:
        """Takes no memory for the cache yet.

        Args:
            decoder: Without experts: their choice goes through the host.
            dtype: Of keys and values.
            device: Where they are.
        """
        self._decoder, self._dtype, self._device = decoder, dtype, device
        self._embedding = torch.zeros(1, 1, decoder.config.width, dtype=dtype, device=device)
        self._slot = torch.zeros(1, dtype=torch.int64, device=device)
        self.graphs: CudaGraphs[tuple[Tensor, Tensor]] = CudaGraphs(device)
        self.passes = self.graphs.beside("passes over a few tokens run")
        self._pass: FixedPass | None = None
        self._full = False
        self._allocate(WIDTH_STEP)

    def _grow(self, slots: int, kept: bool) -> None:
        """New memory, for `slots` at least and half as much again, so that growing is rare: all recordings have to be
        made for it again. The old memory goes back, before where nothing of it is kept."""
        before, most = self._cache, self._decoder.config.max_positions
        slots = max(slots, min(before.max_len * 3 // 2, most))
        self.graphs.forget()
        self.passes.forget()
        if not kept:
            before.give_back()
        self._allocate(math.ceil(slots / WIDTH_STEP) * WIDTH_STEP)
        if kept:
            self._cache.keep(before)
            self._written = before.length
            before.give_back()

    def _allocate(self, slots: int) -> None:
        self._cache = KVCache(self._decoder.config, slots, dtype=self._dtype, device=self._device)
        self._columns = torch.arange(slots, dtype=torch.int64, device=self._device)
        self._written = 0
        self._pass, self._full = None, False

    def cache(self, max_len: int, old: Cache | None) -> KVCache:
        """See `Runtime`: whoever asks has the one cache, and those that had it before begin again."""
        before = self._cache
        if before.max_len < max_len:
            self._grow(max_len, kept=old is before)
        elif old is not before:
            self._cache = copy.copy(before)  # the same memory
            self._cache.length = 0
        if self._cache is not before:
            before.length = 0
        return self._cache

    def filled(self, cache: Cache) -> None:
        """To be told when a prefill has written to the cache: what lies beyond it is wiped.

        A masked slot counts 0 times what it holds, which is not 0 where a failed answer left infinities.
        """
        self.check(cache)
        self._wipe(cache.length)

    def _wipe(self, end: int) -> None:
        if self._written > end:
            self._cache.keys[..., end : self._written, :] = 0
            self._cache.values[..., end : self._written, :] = 0
        self._written = end

    def decode(self, embedding: Tensor, cache: Cache) -> StepOutput:
        """See `Runtime`."""
        self.check(cache)
        slot = self._cache.reserve(1)
        width = read_width(slot + 1, self._cache.max_len)
        self._embedding.copy_(embedding)
        self._slot.fill_(slot)
        self._wipe(slot + 1)  # what a verified guess left: it may be of a pass that failed
        logits, states = self.graphs.run(width, lambda: self._step(width))
        self._cache.length = slot + 1
        return StepOutput(logits.clone(), states.clone())  # the next step writes to the same memory

    def verify(
        self,
        embeddings: Tensor,
        mask: Tensor,
        cache: Cache,
        positions: Tensor,
        logits_for: Tensor | None,
    ) -> StepOutput | None:
        """A pass over a few tokens behind others, replayed; None where it is none of those that are recorded, or cannot
        be. Arguments as of `Runtime.prefill`."""
        self.check(cache)
        count, start = embeddings.shape[1], self._cache.length
        width = verify_width(count, start, self._cache.max_len)
        scored = 1 if logits_for is None else len(logits_for)
        if width is None or self.passes.refused is not None or self._full or not 0 < scored <= width:
            return None
        try:
            if self._pass is None:
                self._pass = FixedPass(self._decoder.config, self._cache.max_len, self._zeros, self._dtype)
            fixed, end = self._pass, start + width
            self._wipe(end)  # what lies behind is read, and counts 0 times what it is
            read = verify_slots(end, self._cache.max_len)
            fixed.set(width, read, embeddings, mask, positions, start, logits_for)
            logits, states = self.passes.run((width, read), lambda: self._verify(fixed, width, read))
        except torch.OutOfMemoryError:
            self._full = True  # until there is other memory; kernel by kernel a pass needs less
            return None
        self._cache.length = start + count
        return StepOutput(logits[:, :scored].clone(), states[:, :count].clone())

    def _verify(self, fixed: FixedPass, width: int, read: int) -> tuple[Tensor, Tensor]:
        mask = additive(fixed.mask(width, read))
        cache = SlotCache(self._cache, fixed.places[:width], read)
        x, positions, chosen = fixed.embeddings[:, :width], fixed.positions[:, :width], fixed.scored[:width]
        output = self._decoder(x, positions, mask, cache, chosen)
        # To one place for all recordings, each of which would have to keep scores of its own.
        logits, states = fixed.logits[:, :width], fixed.states[:, :width]
        return logits.copy_(output.logits), states.copy_(output.states)

    def _zeros(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=self._device)

    def _step(self, width: int) -> tuple[Tensor, Tensor]:
        # Added to the scores, so that attention is written out: of torch's fused kernels those that take a mask know
        # no groups of heads, and would have keys and values repeated in memory.
        mask = additive(self._columns[:width] <= self._slot).view(1, 1, 1, width)
        cache = SlotCache(self._cache, self._slot, width)
        output = self._decoder(self._embedding, self._slot.view(1, 1), mask, cache)
        return output.logits, output.states

    def check(self, cache: Cache) -> None:
        """To be asked before a prefill: the memory of a cache that another query has taken over may be gone."""
        assert cache is self._cache, "a cache that another query has taken over"
