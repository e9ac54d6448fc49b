# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the inputs and outputs of an engine's two graphs must be, whatever runs them."""

from __future__ import annotations

from typing import NamedTuple

import torch

from molmo_ros.engine.shapes import Shapes
from molmo_ros.molmo.config import MolmoConfig

ANY = -1
"""A size that changes from pass to pass."""


class Signature(NamedTuple):
    """Type and shape of an input or output; `ANY` for sizes that change."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    def takes(self, other: Signature) -> bool:
        """Whether nothing speaks against the other being the same."""
        sizes = zip(self.shape, other.shape, strict=False)
        return (
            self.dtype == other.dtype
            and len(self.shape) == len(other.shape)
            and all(one == size or ANY in (one, size) for one, size in sizes)
        )


def vision_signature(config: MolmoConfig, dtype: torch.dtype, eight_bits: bool) -> dict[str, Signature]:
    """Inputs and outputs of `graphs/vision_graph.py`."""
    vision, connector = config.vision, config.connector
    tensors = {
        "crops": Signature(torch.uint8 if eight_bits else dtype, (ANY, vision.patches, vision.patch_values)),
        "pooling": Signature(torch.int64, (ANY, connector.pool[0] * connector.pool[1])),
        "tokens": Signature(dtype, (ANY, connector.output_width)),
    }
    if eight_bits:
        tensors["colours"] = Signature(torch.float32, (2, vision.patch_values))
    if connector.pad_embed:
        tensors["coverage"] = Signature(torch.float32, (ANY, vision.patches))
    if config.point_head is not None:
        tensors["patches"] = Signature(dtype, (ANY, vision.feature_width))
    return tensors


def decoder_signature(config: MolmoConfig, dtype: torch.dtype, shapes: Shapes) -> dict[str, Signature]:
    """Inputs and outputs of `graphs/decoder_graph.py`."""
    decoder = config.decoder
    vocab = decoder.vocab + (decoder.extra_vocab if decoder.extra_head else 0)
    tensors = {
        "embeddings": Signature(dtype, (1, ANY, decoder.width)),
        "positions": Signature(torch.int64, (1, ANY)),
        "mask": Signature(torch.bool, (1, 1, ANY, ANY)),
        "write_index": Signature(torch.int64, (1,)),
        "logits_for": Signature(torch.int64, (ANY,)),
        "logits": Signature(torch.float32, (1, ANY, vocab)),
    }
    if config.point_head is not None:
        tensors["states"] = Signature(dtype, (1, ANY, decoder.width))
    cache = Signature(dtype, (1, decoder.kv_heads, shapes.max_context, decoder.head_dim))
    for layer in range(decoder.layers):
        for name in (f"key_{layer}", f"value_{layer}"):
            tensors[f"past_{name}"] = tensors[f"present_{name}"] = cache
    return tensors
