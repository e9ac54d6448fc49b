# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The vision transformer: patches of crops in, concatenated features of some blocks out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from molmo_ros.molmo.config import VisionConfig
from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.network.attention import attend
from molmo_ros.molmo.network.initial import normal_parameter


class VisionAttention(nn.Module):
    """Multi-head attention whose queries may come from elsewhere than its keys and values.

    Args:
        query_width: Width of the query vectors.
        memory_width: Width of the vectors that keys and values are made of.
        output_width: Width of the result; None leaves the heads' outputs as they are, joined.
        float32: Whether to leave the dtype of the weights for the attention itself, where its scores and their softmax
            would not be float32 otherwise.
    """

    def __init__(
        self,
        query_width: int,
        memory_width: int,
        output_width: int | None,
        heads: int,
        head_dim: int,
        float32: bool,
        attention: str,
    ) -> None:
        super().__init__()
        self.heads, self.head_dim, self.float32, self.attention = heads, head_dim, float32, attention
        self.query = nn.Linear(query_width, heads * head_dim)
        self.key = nn.Linear(memory_width, heads * head_dim)
        self.value = nn.Linear(memory_width, heads * head_dim)
        self.output: nn.Module = nn.Identity()
        if output_width is not None:
            self.output = nn.Linear(heads * head_dim, output_width)

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attends from `query` [N, L, .] to `memory` [N, K, .]; `mask` as in `attend`. Returns [N, L, .]."""
        q, k, v = (
            self._heads(self.query(query)),
            self._heads(self.key(memory)),
            self._heads(self.value(memory)),
        )
        dtype = v.dtype
        # torch's fused kernels for CUDA keep scores and softmax in float32 whatever goes in, as engines do.
        if self.float32 and not (v.is_cuda and self.attention == "sdpa"):
            q, k, v = q.float(), k.float(), v.float()
        mixed = attend(q, k, v, mask, self.attention).to(dtype)
        return self.output(mixed.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)


class VisionMlp(nn.Module):
    """Two linear layers with the tower's GELU between them."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.up = nn.Linear(config.width, config.mlp_width)
        self.down = nn.Linear(config.mlp_width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(x)
        if self.activation == "quick_gelu":
            return self.down(x * torch.sigmoid(1.702 * x))
        return self.down(functional.gelu(x, approximate="tanh"))


class VisionBlock(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, config: VisionConfig, attention: str) -> None:
        super().__init__()
        width = config.width
        self.attention_norm = nn.LayerNorm(width, eps=config.norm_eps)
        self.attention = VisionAttention(
            width, width, width, config.heads, config.head_dim, config.float32_attention, attention
        )
        self.mlp_norm = nn.LayerNorm(width, eps=config.norm_eps)
        self.mlp = VisionMlp(config)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.attention_norm(x)
        x = x + self.attention(normed, normed)
        return x + self.mlp(self.mlp_norm(x))


class VisionTower(nn.Module):
    """CLIP ViT-L/14 (0924) or SigLIP2 so400m/14 (Molmo2), up to the deepest block that is used.

    Source: hub modeling_molmo.py and modeling_molmo2.py.
    """

    def __init__(self, config: VisionConfig, attention: str = "sdpa") -> None:
        super().__init__()
        self.config = config
        if config.class_token:
            self.class_embedding = normal_parameter(config.width)
        positions = config.patches + int(config.class_token)
        self.position_embedding = normal_parameter(positions, config.width)
        self.patch_embedding = nn.Linear(config.patch_values, config.width, bias=config.patch_bias)
        self.pre_norm = nn.LayerNorm(config.width, eps=config.norm_eps) if config.pre_norm else nn.Identity()
        self.blocks = nn.ModuleList(VisionBlock(config, attention) for _ in range(config.blocks_used))

    def forward(self, crops: Tensor) -> Tensor:
        """Features of crops.

        Args:
            crops: Normalised patches [..., patches, patch_values]; a patch is (row, column, channel).

        Returns:
            [..., patches, feature_width]: the outputs of `feature_layers`, concatenated in that order.

        Raises:
            ImageError: The crops have another number of patches, or of values in a patch.
        """
        expected = (self.config.patches, self.config.patch_values)
        if crops.shape[-2:] != expected:
            raise ImageError(f"crops have shape {tuple(crops.shape)}; the last two sizes must be {expected}")
        leading = crops.shape[:-2]
        weight = self.patch_embedding.weight
        x = self.patch_embedding(crops.reshape(-1, *expected).to(weight.device, weight.dtype))
        if self.config.class_token:
            x = torch.cat([self.class_embedding.expand(x.shape[0], 1, -1).to(x.dtype), x], dim=1)
        x = self.pre_norm(x + self.position_embedding.to(x.dtype))
        outputs: dict[int, Tensor] = {}
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.config.feature_layers:
                outputs[number] = x
        features = torch.cat([outputs[number] for number in self.config.feature_layers], dim=-1)
        return features[:, int(self.config.class_token) :].unflatten(0, leading)
