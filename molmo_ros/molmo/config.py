# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The shape of a Molmo model, as data.

One set of dataclasses covers every family (`families/`, which read it from a config.json). Everything in which their
networks differ is a value here, so that the modules never ask for a family.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class VisionConfig:
    """The vision transformer.

    Attributes:
        width: Width of the residual stream.
        layers: How many blocks the architecture declares; a checkpoint may hold fewer.
        feature_layers: Blocks (from 0) whose outputs are joined in this order; later ones are not built.
        patch_size: Side of a patch [px].
        grid: Patches of one crop (rows, columns).
        class_token: Whether a learned class token goes before the patches (and is dropped from the features).
        pre_norm: Whether a LayerNorm comes before the first block.
        float32_attention: Whether attention runs in float32 whatever the dtype of the weights.
    """

    width: int
    layers: int
    heads: int
    head_dim: int
    mlp_width: int
    activation: Literal["quick_gelu", "gelu_tanh"]
    norm_eps: float
    patch_size: int
    grid: tuple[int, int]
    feature_layers: tuple[int, ...]
    class_token: bool
    patch_bias: bool
    pre_norm: bool
    float32_attention: bool = True

    @property
    def patches(self) -> int:
        """Patches of one crop."""
        return self.grid[0] * self.grid[1]

    @property
    def patch_values(self) -> int:
        """Values of one flattened RGB patch."""
        return 3 * self.patch_size**2

    @property
    def blocks_used(self) -> int:
        """Blocks up to the deepest one whose output is a feature."""
        return max(self.feature_layers) + 1

    @property
    def feature_width(self) -> int:
        """Width of the concatenated features."""
        return self.width * len(self.feature_layers)


@dataclass(frozen=True)
class ConnectorConfig:
    """Attention pooling of patches, then the gated projection into the decoder's embedding space.

    Attributes:
        width: Output width of the pooling attention.
        hidden_width: Inner width of the projector.
        output_width: Width of the decoder.
        pool: Patches per pooled token (rows, columns).
        crop_pooling: Whether each crop is pooled by itself; otherwise by the table of the image processor, in
            which a token may have patches of several crops.
        mask_empty_slots: Whether slots without a patch are left out of the mean query and of the attention
            (otherwise they count as zero vectors).
        pad_embed: Whether patches that lie wholly or partly in the padding get a learned embedding.
        pooling_output: Whether the pooling attention ends in a linear layer; without, the heads' outputs go
            to the projector as they are.
    """

    feature_width: int
    width: int
    heads: int
    head_dim: int
    hidden_width: int
    output_width: int
    pool: tuple[int, int] = (2, 2)
    crop_pooling: bool = False
    mask_empty_slots: bool = True
    pad_embed: bool = False
    pooling_output: bool = True
    float32_attention: bool = True


@dataclass(frozen=True)
class RopeScaling:
    """YaRN scaling of the rotary embedding (arXiv:2309.00071) and the layers that use it."""

    factor: float
    original_length: int
    layers: tuple[int, ...]
    attention_factor: float | None = None
    beta_fast: float = 32.0
    beta_slow: float = 1.0


@dataclass(frozen=True)
class DecoderConfig:
    """The language model.

    Attributes:
        vocab: Rows of the base embedding, and of the output head.
        extra_vocab: Further embedding rows for special tokens, which the head cannot produce.
        mlp_width: Real inner width of the MLP, or of one expert (the fused projection has twice as many rows).
        norm_after: Whether norms apply to the outputs of the sub-layers instead of to their inputs.
        qk_norm: RMSNorm of queries and keys: "none", "head" (per head) or "full" (before the split in heads).
        tied_head: Whether the output head is the base embedding itself.
        extra_head: Whether the head also scores the additional special tokens.
        experts: How many MLPs a block chooses from; 0 for one dense MLP.
        experts_per_token: How many of them work on a token.
    """

    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp_width: int
    vocab: int
    extra_vocab: int
    qkv_bias: bool
    qk_norm: Literal["none", "head", "full"]
    norm_after: bool
    norm_eps: float
    rope_theta: float
    max_positions: int
    rope_scaling: RopeScaling | None = None
    tied_head: bool = False
    extra_head: bool = False
    experts: int = 0
    experts_per_token: int = 0


@dataclass(frozen=True)
class PointHeadConfig:
    """The head of MolmoPoint, which points by choosing a patch, a part of it, and a place in that.

    Attributes:
        width: Width of its queries and keys; even.
        rope_theta: Base of the rotary embedding of the patches' order.
        patch_id: Id of `<|token_index|>`, which stands for any patch: in its embedding, and in its score.
        subpatch_id: Id of `<|vit_index|>`, which is never written.
        location_id: Id of `<|vit_loc|>`, whose embedding every location has.
        locations: Places within a subpatch, (columns, rows): they are numbered column by column.
    """

    width: int
    rope_theta: float
    patch_id: int
    subpatch_id: int
    location_id: int
    locations: tuple[int, int] = (3, 3)


@dataclass(frozen=True)
class MolmoConfig:
    """A whole model.

    Attributes:
        family: "molmo", "molmoe", "molmo2" or "molmo_point", see `families/`.
        image_block: Whether all image tokens attend to each other in the prefill (Molmo2) or causally (0924).
        token_ids: Ids of the image tokens by name (im_start, im_end, im_patch, im_col, low_res_im_start,
            im_low, frame_start, frame_end), as far as config.json tells; the tokenizer is the authority.
        patch_tokens: Names of those that an image feature is added to.
        point_head: MolmoPoint's head; None for models that write points as text.
    """

    family: str
    vision: VisionConfig
    connector: ConnectorConfig
    decoder: DecoderConfig
    image_block: bool
    token_ids: dict[str, int] = field(default_factory=dict)
    patch_tokens: tuple[str, ...] = ("im_patch",)
    point_head: PointHeadConfig | None = None
