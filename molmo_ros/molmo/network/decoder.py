# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The language model: one decoder for OLMo- and Qwen-like blocks, with explicit positions and masks."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from molmo_ros.molmo.config import DecoderConfig
from molmo_ros.molmo.network.attention import additive, attend
from molmo_ros.molmo.network.experts import MixtureOfExperts
from molmo_ros.molmo.network.initial import normal_parameter
from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.network.rope import RotaryEmbedding, rotate


class DecoderOutput(NamedTuple):
    """What the decoder returns.

    Attributes:
        hidden: Last hidden states, after the final norm [B, L, width].
        logits: Scores over the base vocabulary, and with `extra_head` over the additional special tokens, for
            the positions asked for (see `Decoder.forward`).
        states: The hidden states before the final norm [B, L, width], which MolmoPoint's head reads.
    """

    hidden: Tensor
    logits: Tensor
    states: Tensor


class RMSNorm(nn.Module):
    """x / rms(x) in float32, cast back, then times the weight."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda:  # the same in two kernels: a token of a large model has over a hundred norms
            return self.weight * functional.rms_norm(x, self.weight.shape, None, self.eps)
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


class Embedding(Protocol):
    """What makes vectors of tokens."""

    def __call__(self, ids: Tensor) -> Tensor:
        """Embeddings [..., width] of `ids` [...]."""

    def row(self, token: int) -> Tensor:
        """The embedding [1, 1, width] of one id."""


class TokenEmbedding(nn.Module):
    """Rows of the base vocabulary followed by those of the additional special tokens."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.base = normal_parameter(config.vocab, config.width)
        self.extra = normal_parameter(config.extra_vocab, config.width)

    def forward(self, ids: Tensor) -> Tensor:
        """Embeddings [..., width] of `ids` [...]."""
        vocab = self.base.shape[0]
        if self.extra.shape[0] == 0:
            return functional.embedding(ids, self.base)
        # Two look-ups, because joining the tables would copy the whole vocabulary at every call.
        base = functional.embedding(ids.clamp(max=vocab - 1), self.base)
        extra = functional.embedding((ids - vocab).clamp(min=0), self.extra)
        return torch.where((ids < vocab).unsqueeze(-1), base, extra)

    def row(self, token: int) -> Tensor:
        """The embedding [1, 1, width] of one id, a view: nothing is sent to the device for it."""
        vocab = self.base.shape[0]
        table, number = (self.base, token) if token < vocab else (self.extra, token - vocab)
        return table[number].view(1, 1, -1)


class DecoderAttention(nn.Module):
    """Grouped-query attention with fused projections, optional q/k norms and rotary positions."""

    def __init__(self, config: DecoderConfig, layer: int, attention: str) -> None:
        super().__init__()
        self.config, self.layer, self.attention = config, layer, attention
        self.sizes = [config.heads * config.head_dim] + 2 * [config.kv_heads * config.head_dim]
        self.qkv = nn.Linear(config.width, sum(self.sizes), bias=config.qkv_bias)
        self.output = nn.Linear(self.sizes[0], config.width, bias=False)
        if config.qk_norm != "none":
            per_head = config.qk_norm == "head"
            self.query_norm = RMSNorm(config.head_dim if per_head else self.sizes[0], config.norm_eps)
            self.key_norm = RMSNorm(config.head_dim if per_head else self.sizes[1], config.norm_eps)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None, cache: KVCache | None, start: int
    ) -> Tensor:
        query, key, value = self.qkv(x).split(self.sizes, dim=-1)
        if self.config.qk_norm == "full":
            query, key = self.query_norm(query), self.key_norm(key)
        query, key, value = (part.unflatten(-1, (-1, self.config.head_dim)) for part in (query, key, value))
        if self.config.qk_norm == "head":
            query, key = self.query_norm(query), self.key_norm(key)
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        # In one go: decoding a token is many small steps. Under autocast the norms return float32 while the values
        # are bfloat16.
        turned = rotate(torch.cat([query, key], dim=1), *rotary).to(value.dtype)
        query, key = turned.split([self.config.heads, self.config.kv_heads], dim=1)
        if cache is not None:
            key, value = cache.write(self.layer, start, key, value)
        mixed = attend(query, key, value, mask, self.attention)
        return self.output(mixed.transpose(1, 2).flatten(2))


class DecoderMlp(nn.Module):
    """down(silu(gate(x)) * up(x)); the first half of the fused projection is `up`, the second the gate."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.up_gate = nn.Linear(config.width, 2 * config.mlp_width, bias=False)
        self.down = nn.Linear(config.mlp_width, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        up, gate = self.up_gate(x).chunk(2, dim=-1)
        return self.down(functional.silu(gate) * up)


class DecoderBlock(nn.Module):
    """Attention and MLP with residuals; norms before (Qwen-like) or after (OLMo-2-like) the sub-layers."""

    def __init__(self, config: DecoderConfig, layer: int, attention: str) -> None:
        super().__init__()
        self.norm_after = config.norm_after
        self.attention_norm = RMSNorm(config.width, config.norm_eps)
        self.attention = DecoderAttention(config, layer, attention)
        self.mlp_norm = RMSNorm(config.width, config.norm_eps)
        self.mlp = MixtureOfExperts(config) if config.experts else DecoderMlp(config)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None, cache: KVCache | None, start: int
    ) -> Tensor:
        if self.norm_after:
            x = x + self.attention_norm(self.attention(x, rotary, mask, cache, start))
            return x + self.mlp_norm(self.mlp(x))
        x = x + self.attention(self.attention_norm(x), rotary, mask, cache, start)
        return x + self.mlp(self.mlp_norm(x))


class Decoder(nn.Module):
    """Token embedding, blocks, final norm and output head.

    Source: hub modeling_molmo.py and modeling_molmo2.py.
    """

    def __init__(self, config: DecoderConfig, attention: str = "sdpa") -> None:
        super().__init__()
        self.config, self.attention = config, attention
        self.embedding = TokenEmbedding(config)
        self.blocks = nn.ModuleList(DecoderBlock(config, layer, attention) for layer in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_eps)
        self.head = None if config.tied_head else nn.Linear(config.width, config.vocab, bias=False)
        self.extra_head = (
            nn.Linear(config.width, config.extra_vocab, bias=False) if config.extra_head else None
        )
        self._rotary = RotaryEmbedding(config.head_dim, config.rope_theta)
        self._scaled_rotary = None
        if config.rope_scaling is not None:
            self._scaled_rotary = RotaryEmbedding(config.head_dim, config.rope_theta, config.rope_scaling)

    def forward(
        self,
        inputs_embeds: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        cache: KVCache | None = None,
        logits_for: slice | Tensor | None = None,
    ) -> DecoderOutput:
        """Hidden states and logits.

        Args:
            inputs_embeds: [B, L, width].
            positions: Position of each token in its own sequence, int64 [B, L] or [1, L].
            mask: Boolean [B or 1, 1, L, K], True where a token (row) may attend to a slot (column). K is L,
                or with a cache the number of slots filled once these L tokens are in it. Or floating point,
                to add to the scores. None: attend to every slot, which is right for the decoding of one token.
            cache: Where keys and values are kept; the L tokens go to the slots from `cache.length` on.
            logits_for: Which positions get logits. None: all, [B, L, vocab]. A slice or int64 [n] of the
                sequence axis: [B, n, vocab]. A boolean [B, L]: [number of Trues, vocab].
        """
        states = self.states(inputs_embeds, positions, mask, cache)
        chosen = hidden = self.norm(states)
        if isinstance(logits_for, Tensor) and logits_for.dtype == torch.bool:
            chosen = hidden[logits_for]
        elif logits_for is not None:
            chosen = hidden[:, logits_for]
        return DecoderOutput(hidden, self.logits(chosen), states)

    def hidden(
        self, inputs_embeds: Tensor, positions: Tensor, mask: Tensor | None, cache: KVCache | None = None
    ) -> Tensor:
        """Last hidden states after the final norm [B, L, width]; arguments as of `forward`."""
        return self.norm(self.states(inputs_embeds, positions, mask, cache))

    def states(
        self, inputs_embeds: Tensor, positions: Tensor, mask: Tensor | None, cache: KVCache | None = None
    ) -> Tensor:
        """Hidden states before the final norm [B, L, width]; arguments as of `forward`."""
        start = 0 if cache is None else cache.reserve(inputs_embeds.shape[1])
        if mask is not None and mask.dtype == torch.bool and self.attention == "explicit":
            mask = additive(mask)
        plain = self._rotary(positions)
        scaling = self.config.rope_scaling
        scaled = plain if self._scaled_rotary is None else self._scaled_rotary(positions)
        x = inputs_embeds
        for layer, block in enumerate(self.blocks):
            use_scaled = scaling is not None and layer in scaling.layers
            x = block(x, scaled if use_scaled else plain, mask, cache, start)
        if cache is not None:
            cache.length = start + inputs_embeds.shape[1]
        return x

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores [..., vocab], with `extra_head` [..., vocab + extra_vocab], of hidden states [..., width]."""
        weight = self.embedding.base if self.head is None else self.head.weight
        base = functional.linear(hidden, weight)
        return base if self.extra_head is None else torch.cat([base, self.extra_head(hidden)], dim=-1)
