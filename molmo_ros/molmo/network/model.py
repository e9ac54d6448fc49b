# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The whole model: vision tower, connector and decoder, and how image features enter the token sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import ImageError, PromptError
from molmo_ros.molmo.network.attention import check_kind
from molmo_ros.molmo.network.connector import Connector, image_table
from molmo_ros.molmo.network.decoder import Decoder, DecoderAttention, DecoderOutput, Embedding
from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.network.point_head import PointHead
from molmo_ros.molmo.network.vision import VisionAttention, VisionTower


class PatchFeatures(NamedTuple):
    """The patches that image tokens are made of.

    Attributes:
        values: [n_patches, feature width], the tower's features of all crops, one after another.
        pooling: int64 [n_tokens, slots], which patches each token is made of; -1 for empty slots.
    """

    values: Tensor
    pooling: Tensor

    @classmethod
    def join(cls, images: Sequence[PatchFeatures]) -> PatchFeatures:
        """The patches of several images of one prompt, numbered through."""
        pooling, first = [], 0
        for image in images:
            pooling.append(torch.where(image.pooling < 0, -1, image.pooling + first))
            first += len(image.values)
        return cls(torch.cat([image.values for image in images]), torch.cat(pooling))


class ImageFeatures(NamedTuple):
    """What the vision side makes of an image, or of all images of a prompt.

    Attributes:
        tokens: [n_tokens, decoder width], one for each patch token, in the order in which `embed` adds them.
        patches: What a point head chooses from; None without one, since patches take several times the memory
            of the tokens.
    """

    tokens: Tensor
    patches: PatchFeatures | None

    @classmethod
    def join(cls, images: Sequence[ImageFeatures]) -> ImageFeatures:
        """The features of several images of one prompt."""
        if len(images) == 1:
            return images[0]  # joining would copy it
        patches = [image.patches for image in images if image.patches is not None]
        tokens = torch.cat([image.tokens for image in images])
        return cls(tokens, PatchFeatures.join(patches) if patches else None)


class MolmoModel(nn.Module):
    """A Molmo of any family.

    Args:
        config: Its shape.
        attention: "sdpa" or "explicit", see `attention.attend`; `set_attention` changes it.
    """

    def __init__(self, config: MolmoConfig, attention: str = "sdpa") -> None:
        super().__init__()
        check_kind(attention)
        self.config = config
        self.vision = VisionTower(config.vision, attention)
        self.connector = Connector(config.connector, attention)
        self.decoder = Decoder(config.decoder, attention)
        self.point_head: PointHead | None = None
        if config.point_head is not None:
            self.point_head = PointHead(config.point_head, config.decoder, config.vision.feature_width)

    def set_attention(self, kind: str) -> None:
        """Switches every attention layer to "sdpa" or "explicit"."""
        check_kind(kind)
        for module in self.modules():
            if isinstance(module, VisionAttention | DecoderAttention | Decoder):
                module.attention = kind

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.decoder.embedding.base.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are."""
        return self.decoder.embedding.base.dtype

    def encode_image(self, crops: Tensor, **tables: Any) -> Tensor:
        """`image_features(...).tokens`, [n_tokens, decoder width]; arguments as there."""
        return self.image_features(crops, **tables).tokens

    def image_features(
        self,
        crops: Tensor,
        *,
        masks: Tensor | None = None,
        input_idx: Tensor | None = None,
        pooling: Tensor | None = None,
        single_view: bool = False,
    ) -> ImageFeatures:
        """Features of one image.

        Args:
            crops: Normalised patches [n, patches, patch_values], global view first.
            masks: 0924: [n, patches], how much of each patch is image (as the processor gives it).
            input_idx: 0924: int [n, tokens per crop], token position of every pooled cell, negative where the
                cell is not used. With it, only used cells are pooled, and the features come in the order of
                their positions; without it, all cells come, crop by crop.
            pooling: Molmo2: int [n_tokens, slots], indices into the patches of all crops, -1 for empty slots.
            single_view: Promises that all crops are one picture (tiling 1x1), so that the tower runs once.

        Raises:
            ImageError: A shape or an index does not fit, or `masks`/`pooling` is missing or unknown here.
        """
        count = crops.shape[0]
        features = self.vision(crops[:1] if single_view else crops)
        features = features.expand(count, -1, -1)
        if self.config.connector.pad_embed:
            if masks is None or masks.shape != crops.shape[:2]:
                found = None if masks is None else tuple(masks.shape)
                raise ImageError(f"this model needs masks of shape {tuple(crops.shape[:2])}; found {found}")
            features = self.connector.mark_padding(features, masks)
        elif masks is not None:
            raise ImageError("this model takes no masks: it does not mark padding")
        grid, connector = self.config.vision.grid, self.config.connector
        table = image_table(grid, connector, count, input_idx, pooling).to(features.device)
        patches = features.flatten(0, 1)
        highest = int(table.max()) if table.numel() else -1
        if highest >= len(patches):
            raise ImageError(f"the pooling table points at patch {highest}; there are {len(patches)} patches")
        tokens = self.connector(patches.unsqueeze(0), table.unsqueeze(0)).squeeze(0)
        return ImageFeatures(tokens, None if self.point_head is None else PatchFeatures(patches, table))

    def encode_images(self, crops: Tensor, pooling: Tensor) -> Tensor:
        """Image features of a batch of images (Molmo2), as for training.

        Args:
            crops: [B, n, patches, patch_values]; unused crops may hold anything: no table points at them.
            pooling: int [B, n_tokens, slots], indices into the n * patches of each image, -1 for empty.

        Returns:
            [B, n_tokens, decoder width]; zero where a token has no patch.
        """
        return self.connector(self.vision(crops).flatten(1, 2), pooling)

    def embed(
        self, input_ids: Tensor, image_features: Tensor | None = None, is_patch: Tensor | None = None
    ) -> Tensor:
        """Token embeddings, with image features added to those of the patch tokens.

        Args:
            input_ids: int64 [B, L].
            image_features: [n, width] or [B, n, width]: one for each patch token, in the order of the tokens.
            is_patch: Boolean [B, L]; default: `is_patch_token`.

        Returns:
            [B, L, width].

        Raises:
            PromptError: Not as many features as patch tokens, or the id of the patch token is not known.
        """
        if image_features is not None and is_patch is None:
            is_patch = self.is_patch_token(input_ids)
        return embed_prompt(self.decoder.embedding, input_ids, image_features, is_patch)

    def is_patch_token(self, input_ids: Tensor) -> Tensor:
        """Boolean, as `input_ids`: the tokens that image features are added to.

        Raises:
            PromptError: config.json does not name them.
        """
        ids = [self.config.token_ids.get(name) for name in self.config.patch_tokens]
        if None in ids:
            raise PromptError("config.json does not name the id of the patch token; pass is_patch")
        return torch.isin(input_ids, torch.tensor(ids, device=input_ids.device, dtype=input_ids.dtype))

    def is_image_token(self, input_ids: Tensor) -> Tensor:
        """Boolean, as `input_ids`: patch tokens and their separators, as far as config.json names them."""
        known = torch.tensor(
            sorted(self.config.token_ids.values()), device=input_ids.device, dtype=input_ids.dtype
        )
        return torch.isin(input_ids, known)

    def prefill_mask(self, is_image: Tensor, start: int = 0) -> Tensor:
        """The attention mask of a whole prompt, or of what follows the part that is in the cache.

        Args:
            is_image: Boolean [B, L], True for patch tokens and their separators.
            start: How many tokens are in the cache.

        Returns:
            Boolean [B, 1, L - start, L]: causal; where the model wants it, image tokens also attend to later ones.
        """
        return prefill_mask(is_image, self.config.image_block, start)

    def forward(
        self,
        input_ids: Tensor,
        image_features: Tensor | None = None,
        *,
        is_patch: Tensor | None = None,
        is_image: Tensor | None = None,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
        logits_for: slice | Tensor | None = None,
    ) -> DecoderOutput:
        """A whole prompt, from the first position.

        Args:
            input_ids: int64 [B, L].
            image_features: See `embed`.
            is_patch: See `embed`.
            is_image: See `prefill_mask`; default: by the ids that config.json names.
            positions: int64 [B, L]; default 0..L-1.
            mask: Boolean [B or 1, 1, L, L]; default: `prefill_mask`.
            cache: An empty cache to fill, or None.
            logits_for: See `Decoder.forward`.
        """
        embeddings = self.embed(input_ids, image_features, is_patch)
        if positions is None:
            positions = torch.arange(
                input_ids.shape[1], dtype=torch.int64, device=input_ids.device
            ).unsqueeze(0)
        if mask is None:
            mask = self.prefill_mask(self.is_image_token(input_ids) if is_image is None else is_image)
        return self.decoder(embeddings, positions, mask, cache, logits_for)


def prefill_mask(is_image: Tensor, image_block: bool, start: int = 0) -> Tensor:
    """Boolean [B, 1, L - start, L]: causal, or (with `image_block`) both query and key are image tokens ([B, L])."""
    positions = torch.arange(is_image.shape[1], dtype=torch.int64, device=is_image.device)
    mask = (positions <= positions[start:].unsqueeze(1)).unsqueeze(0)
    if image_block:
        mask = mask | (is_image[:, start:].unsqueeze(2) & is_image.unsqueeze(1))
    return mask.expand(is_image.shape[0], -1, -1).unsqueeze(1)


def embed_prompt(
    embedding: Embedding, input_ids: Tensor, features: Tensor | None, is_patch: Tensor | None
) -> Tensor:
    """Token embeddings, with image features added to those of the patch tokens.

    Args:
        embedding: Of the tokens.
        input_ids: int64 [B, L].
        features: [n, width] or [B, n, width]: one for each patch token, in the order of the tokens; or None.
        is_patch: Boolean [B, L]; None where there are no features.

    Returns:
        [B, L, width].

    Raises:
        PromptError: Not as many features as patch tokens.
    """
    embeddings = embedding(input_ids)
    if features is None or is_patch is None:
        return embeddings
    features = features.reshape(-1, embeddings.shape[-1]).to(embeddings.dtype)
    places = is_patch.flatten().nonzero().squeeze(1)
    if places.shape[0] != features.shape[0]:
        raise PromptError(f"{features.shape[0]} image features for {places.shape[0]} patch tokens")
    return embeddings.flatten(0, 1).index_add(0, places, features).view_as(embeddings)
