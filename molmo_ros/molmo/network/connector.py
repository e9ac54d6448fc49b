# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From patch features to image features in the decoder's embedding space: pooling and projection."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from molmo_ros.molmo.config import ConnectorConfig
from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.network.vision import VisionAttention


class Projector(nn.Module):
    """Gated MLP without biases: down(silu(gate(x)) * up(x))."""

    def __init__(self, config: ConnectorConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.width, config.hidden_width, bias=False)
        self.up = nn.Linear(config.width, config.hidden_width, bias=False)
        self.down = nn.Linear(config.hidden_width, config.output_width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class Connector(nn.Module):
    """Pools groups of patches by an index table and projects them.

    A table says for each image token which patches it is made of. Molmo2's processor gives such a table over
    all crops; for 0924, which pools crop by crop, `crop_table` makes it.
    Source: hub modeling_molmo.py and modeling_molmo2.py.
    """

    def __init__(self, config: ConnectorConfig, attention: str = "sdpa") -> None:
        super().__init__()
        self.config = config
        if config.pad_embed:
            self.pad_embed = nn.Parameter(torch.zeros(2, config.feature_width))
        self.pooling = VisionAttention(
            config.feature_width,
            config.feature_width,
            config.width if config.pooling_output else None,
            config.heads,
            config.head_dim,
            config.float32_attention,
            attention,
        )
        self.projector = Projector(config)

    def mark_padding(self, features: Tensor, masks: Tensor) -> Tensor:
        """Adds the padding embeddings of 0924.

        Args:
            features: [..., patches, feature_width].
            masks: [..., patches]: 1 inside the image, 0 in the padding, any other below 1: partly padded.

        Returns:
            Same shape as `features`.
        """
        masks = masks.to(features.device)
        padded = (masks == 0).unsqueeze(-1).to(features.dtype)
        partial = ((masks < 1) & (masks != 0)).unsqueeze(-1).to(features.dtype)
        embed = self.pad_embed.to(features.dtype)
        return features + padded * embed[0] + partial * embed[1]

    def forward(self, features: Tensor, table: Tensor) -> Tensor:
        """Image features.

        Args:
            features: Patch features [B, n_patches, feature_width], the crops of one image one after another.
            table: [B, n_tokens, slots]: indices into n_patches, negative where a slot is empty.

        Returns:
            [B, n_tokens, output_width]; zero for a token without any patch (padding of a batch).
        """
        filled = table >= 0
        batch, tokens, slots = table.shape
        starts = (
            torch.arange(batch, dtype=torch.int64, device=table.device)[:, None, None] * features.shape[1]
        )
        # index_select, because its backward pass is much faster on a CPU than that of advanced indexing.
        members = features.flatten(0, 1).index_select(0, (table.clamp(min=0) + starts).flatten())
        members = members.view(batch * tokens, slots, -1) * filled.view(-1, slots, 1).to(features.dtype)
        some = filled.any(-1)
        mask = None
        count = torch.full((batch * tokens, 1, 1), slots, dtype=features.dtype, device=features.device)
        if self.config.mask_empty_slots:
            count = filled.sum(-1).clamp(min=1).view(-1, 1, 1).to(features.dtype)
            # A token without patches may attend to its zero vectors: a row of only -inf has no softmax.
            mask = (filled | ~some.unsqueeze(-1)).view(-1, 1, 1, slots)
        query = members.sum(-2, keepdim=True) / count
        pooled = self.pooling(query, members, mask).view(batch, tokens, -1)
        projected = self.projector(pooled)
        return projected * some.unsqueeze(-1).to(projected.dtype)


def crop_table(grid: tuple[int, int], pool: tuple[int, int], crops: int) -> Tensor:
    """The pooling table of models that pool within each crop.

    Args:
        grid: Patches of one crop (rows, columns).
        pool: Patches per token (rows, columns).
        crops: Number of crops.

    Returns:
        int64 [crops, tokens, pool rows * pool columns]; tokens row by row, members row by row, indices
        running through all crops, -1 for slots beyond the right or lower edge.
    """
    rows, columns = grid
    pad = (0, -columns % pool[1], 0, -rows % pool[0])
    index = functional.pad(
        torch.arange(rows * columns, dtype=torch.int64, device="cpu").view(rows, columns), pad, value=-1
    )
    windows = index.unfold(0, pool[0], pool[0]).unfold(1, pool[1], pool[1]).reshape(-1, pool[0] * pool[1])
    offsets = (torch.arange(crops, dtype=torch.int64, device="cpu") * rows * columns).view(-1, 1, 1)
    return torch.where(windows < 0, -1, windows + offsets)


def image_table(
    grid: tuple[int, int],
    config: ConnectorConfig,
    crops: int,
    input_idx: Tensor | None,
    pooling: Tensor | None,
) -> Tensor:
    """The pooling table of an image, without tokens that have no patch.

    Args:
        grid: Patches of one crop (rows, columns).
        config: The connector's shape.
        crops: Number of crops.
        input_idx: 0924: int [crops, tokens per crop], see `MolmoModel.image_features`; None for all cells.
        pooling: Molmo2: int [n_tokens, slots], the image processor's table; None where crops are pooled by
            themselves.

    Returns:
        int64 [n_tokens, slots], in the order of the patch tokens.

    Raises:
        ImageError: The model needs `pooling`, or `input_idx` has another number of cells.
    """
    if pooling is None:
        if not config.crop_pooling:
            raise ImageError("this model needs the pooling table that its image processor makes")
        pooling = crop_table(grid, config.pool, crops).flatten(0, 1)
        if input_idx is not None:
            positions = input_idx.flatten().to(pooling.device)
            if positions.shape[0] != pooling.shape[0]:
                raise ImageError(
                    f"input_idx has {positions.shape[0]} cells; {crops} crops have {pooling.shape[0]}"
                )
            order = torch.argsort(positions, stable=True)
            pooling = pooling[order[positions[order] >= 0]]
    return pooling[(pooling >= 0).any(-1)]
