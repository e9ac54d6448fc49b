# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The names that transformers' own Molmo2 has for the hub's tensors, which adapters trained with it carry.

Source: transformers' conversion of Molmo2 checkpoints, which renames modules, cuts the fused projections, and joins the
two embedding tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from molmo_ros.molmo.config import DecoderConfig, MolmoConfig

RULES = (
    (r"^model\.transformer\.ln_f\.", "model.language_model.norm."),
    (r"^model\.transformer\.blocks\.", "model.language_model.layers."),
    (r"^model\.vision_backbone\.image_vit\.transformer\.resblocks\.", "model.vision_tower.layers."),
    (r"^model\.vision_backbone\.image_vit\.", "model.vision_tower."),
    (r"^model\.vision_backbone\.", "model.multi_modal_projector."),
    (r"\.attn_norm\.", ".input_layernorm."),
    (r"\.ff_norm\.", ".post_attention_layernorm."),
    (r"\.self_attn\.attn_out\.", ".self_attn.o_proj."),
    (r"\.mlp\.ff_out\.", ".mlp.down_proj."),
    (r"(\.layers\.\d+)\.attention\.", r"\1.self_attn."),
    (r"\.(self_attn|image_pooling_2d)\.w([qkvo])\.", r".\1.\2_proj."),
    (r"\.feed_forward\.w1\.", ".mlp.fc1."),
    (r"\.feed_forward\.w2\.", ".mlp.fc2."),
    (r"\.attention_norm\.", ".layer_norm1."),
    (r"\.ffn_norm\.", ".layer_norm2."),
    (r"\.image_projector\.w1\.", ".image_projector.gate_proj."),
    (r"\.image_projector\.w2\.", ".image_projector.down_proj."),
    (r"\.image_projector\.w3\.", ".image_projector.up_proj."),
)
TABLES = ("model.transformer.wte.embedding", "model.transformer.wte.new_embedding")
JOINED = "model.language_model.embed_tokens.weight"


@dataclass(frozen=True)
class Rows:
    """Rows of a tensor under one name that are rows of a hub's tensor.

    Attributes:
        name: The hub's tensor.
        first: The first of them there.
        own_first: The first of them in the tensor under the other name.
        rows: How many.
    """

    name: str
    first: int
    own_first: int
    rows: int


OtherNames = Callable[[MolmoConfig, Mapping[str, tuple[int, ...]]], Iterator[tuple[str, Rows]]]
"""Of a model: the shapes of the hub's tensors to other names, each with the rows that it stands for."""


def other_names(config: MolmoConfig, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, Rows]]:
    """Every name that transformers gives to one of the hub's tensors or to some of its rows.

    Args:
        config: The model.
        shapes: Of the hub's tensors, by name.
    """
    joined = 0
    for table in TABLES:
        if table in shapes:
            yield JOINED, Rows(table, 0, joined, shapes[table][0])
            joined += shapes[table][0]
    for hub, shape in shapes.items():
        if hub in TABLES or not shape:
            continue
        name = hub
        for pattern, replacement in RULES:
            name = re.sub(pattern, replacement, name)
        first = 0
        for part, rows in _cut(name, shape[0], config.decoder):
            yield part, Rows(hub, first, 0, rows)
            first += rows


def _cut(name: str, rows: int, decoder: DecoderConfig) -> list[tuple[str, int]]:
    """The parts that a fused projection is cut into, with the rows of each."""
    if ".self_attn.att_proj." in name:
        keys = decoder.kv_heads * decoder.head_dim
        parts = {"q_proj": decoder.heads * decoder.head_dim, "k_proj": keys, "v_proj": keys}
        return [(name.replace("att_proj", part), count) for part, count in parts.items()]
    if ".mlp.ff_proj." in name:
        return [(name.replace("ff_proj", part), rows // 2) for part in ("up_proj", "gate_proj")]
    return [(name, rows)]
