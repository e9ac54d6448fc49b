# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Scaled dot-product attention, written out or through torch's fused kernel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

KINDS = ("explicit", "sdpa")


def check_kind(kind: str) -> str:
    """Returns `kind` where it names an implementation.

    Raises:
        ValueError: `kind` is not one of `KINDS`.
    """
    if kind not in KINDS:
        raise ValueError(f"attention is {kind!r}; it must be one of {', '.join(KINDS)}")
    return kind


def additive(mask: Tensor) -> Tensor:
    """The float32 mask to add to scores: 0 where the boolean `mask` is True, -inf elsewhere.

    Adding it is twice as fast as filling scores by a boolean mask, and all layers can share it.
    """
    return torch.zeros(mask.shape, dtype=torch.float32, device=mask.device).masked_fill_(~mask, float("-inf"))


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, kind: str) -> Tensor:
    """Softmax attention with grouped key/value heads.

    Query head j reads key/value head j // (heads // kv_heads).

    Args:
        query: [B, heads, L, head_dim].
        key: [B, kv_heads, K, head_dim].
        value: Same shape as `key`.
        mask: Boolean, broadcastable to [B, 1, L, K]; True where the query may attend. Every query needs
            at least one True. Or floating point, same shape, to add to the scores (`additive`). None: every
            query attends to every key.
        kind: "explicit" (matmul, float32 softmax, matmul) or "sdpa" (torch's fused kernel). The results are
            equal up to rounding; the explicit form has the faster backward pass on a CPU. With a mask to add it is
            explicit in any case.

    Returns:
        [B, heads, L, head_dim], in the dtype of `value`.
    """
    if kind == "sdpa" and (mask is None or mask.dtype == torch.bool):
        group = query.shape[1] // key.shape[1]
        if group > 1 and mask is not None and query.is_cuda:
            # CUDA's flash kernel takes no mask, and its memory-efficient one no groups: with both, all scores would be
            # written to memory.
            key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
        # The fused kernels refuse key/value heads that are merely fewer unless told that this is meant.
        grouped = query.shape[1] != key.shape[1]
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=grouped)
    batch, heads, length, head_dim = query.shape
    kv_heads, group = key.shape[1], heads // key.shape[1]
    # Heads of one group share their keys: folding them into rows avoids repeating keys and values in memory.
    rows = (query * head_dim**-0.5).reshape(batch, kv_heads, group * length, head_dim)
    scores = (rows @ key.transpose(-1, -2)).float().view(batch, kv_heads, group, length, -1)
    if mask is not None:
        scores = scores + (additive(mask) if mask.dtype == torch.bool else mask).unsqueeze(1)
    weights = torch.softmax(scores, dim=-1).to(value.dtype).view(batch, kv_heads, group * length, -1)
    return (weights @ value).view(batch, heads, length, head_dim)
