# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The hub's tensor names, as rules from the names of `MolmoModel`'s parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Index = tuple[slice | int, ...]
Stack = Callable[[str, tuple[int, ...]], "list[StoredPart] | None"]


@dataclass(frozen=True)
class StoredPart:
    """A stored tensor, and which part of a parameter it is.

    Attributes:
        name: Its name on the hub.
        shape: Its shape.
        where: The part of the parameter; () is all of it.
    """

    name: str
    shape: tuple[int, ...]
    where: Index = ()


@dataclass(frozen=True)
class TensorNames:
    """One family's names.

    Attributes:
        rules: (pattern, replacement), applied in turn to the name of a parameter. A pattern is anchored at
            the start unless it begins with a group.
        stack: For parameters that the hub stores in several tensors: their pieces for (name, shape), or None
            where the parameter is stored whole.
    """

    rules: tuple[tuple[str, str], ...]
    stack: Stack | None = None

    def name(self, own: str) -> str:
        """The hub's name of the parameter that `MolmoModel` calls `own`."""
        for pattern, replacement in self.rules:
            anchored = pattern if pattern[0] == "(" else f"^{pattern}"
            own = re.sub(anchored, replacement, own)
        return own

    def pieces(self, own: str, shape: tuple[int, ...]) -> list[StoredPart]:
        """The stored tensors that make up the parameter `own` of this shape."""
        stacked = None if self.stack is None else self.stack(own, shape)
        return [StoredPart(self.name(own), shape)] if stacked is None else stacked


VISION_BLOCKS = (
    (r"(resblocks\.\d+)\.mlp_norm\.", r"\1.ffn_norm."),
    (r"(resblocks\.\d+)\.mlp\.up\.", r"\1.feed_forward.w1."),
    (r"(resblocks\.\d+)\.mlp\.down\.", r"\1.feed_forward.w2."),
    (r"(resblocks\.\d+\.attention|image_pooling_2d)\.query\.", r"\1.wq."),
    (r"(resblocks\.\d+\.attention|image_pooling_2d)\.key\.", r"\1.wk."),
    (r"(resblocks\.\d+\.attention|image_pooling_2d)\.value\.", r"\1.wv."),
    (r"(resblocks\.\d+\.attention|image_pooling_2d)\.output\.", r"\1.wo."),
)
EMBEDDINGS = (
    (r"decoder\.embedding\.base", "model.transformer.wte.embedding"),
    (r"decoder\.embedding\.extra", "model.transformer.wte.new_embedding"),
    (r"decoder\.norm\.", "model.transformer.ln_f."),
)
NORMS = (
    (r"decoder\.blocks\.(\d+)\.attention_norm\.", r"model.transformer.blocks.\1.attn_norm."),
    (r"decoder\.blocks\.(\d+)\.mlp_norm\.", r"model.transformer.blocks.\1.ff_norm."),
)


def vision_names(tower: str, connector: str) -> tuple[tuple[str, str], ...]:
    """The rules for the tower and the connector, which the families keep in different places."""
    return (
        (r"vision\.class_embedding", f"{tower}.class_embedding"),
        (r"vision\.position_embedding", f"{tower}.positional_embedding"),
        (r"vision\.patch_embedding\.", f"{tower}.patch_embedding."),
        (r"vision\.pre_norm\.", f"{tower}.pre_ln."),
        (r"vision\.blocks\.(\d+)\.", rf"{tower}.transformer.resblocks.\1."),
        (r"connector\.pad_embed", f"{connector}.pad_embed"),
        (r"connector\.pooling\.", f"{connector}.image_pooling_2d."),
        (r"connector\.projector\.gate\.", f"{connector}.image_projector.w1."),
        (r"connector\.projector\.down\.", f"{connector}.image_projector.w2."),
        (r"connector\.projector\.up\.", f"{connector}.image_projector.w3."),
        *VISION_BLOCKS,
    )


def attention_names(attention: str) -> tuple[tuple[str, str], ...]:
    """The rules for the decoder's attention, which the families keep in the block or in a part of it.

    Args:
        attention: The part's name with a dot at the end, or "".
    """
    block = r"decoder\.blocks\.(\d+)\.attention\."
    hub = rf"model.transformer.blocks.\1.{attention}"
    return (
        (block + r"qkv\.", f"{hub}att_proj."),
        (block + r"output\.", f"{hub}attn_out."),
        (block + r"query_norm\.", f"{hub}q_norm."),
        (block + r"key_norm\.", f"{hub}k_norm."),
    )


def mlp_names(mlp: str) -> tuple[tuple[str, str], ...]:
    """The rules for the decoder's dense MLP; `mlp` as `attention` of `attention_names`."""
    block, hub = r"decoder\.blocks\.(\d+)\.mlp\.", rf"model.transformer.blocks.\1.{mlp}"
    return (block + r"up_gate\.", f"{hub}ff_proj."), (block + r"down\.", f"{hub}ff_out.")
