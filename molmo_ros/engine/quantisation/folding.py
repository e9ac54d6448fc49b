# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Scales of a layer's inputs, folded into the weights around it so that the block computes what it did.

Every linear layer of a block has something before it that scales its inputs one by one: the weight of the norm (for
`qkv` and `up_gate`, where norms come before), the value rows of `qkv` (for `output`), and the `up` rows of `up_gate`
(for `down`: its input is silu(gate) * up, which is linear in `up`). Dividing there and multiplying the layer's columns
changes nothing but what rounding does to them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from molmo_ros.engine.quantisation.formats import DOWN, OUTPUT, QKV, UP_GATE
from molmo_ros.molmo.config import DecoderConfig

NORMS = {QKV: "attention_norm.weight", UP_GATE: "mlp_norm.weight"}


class Folding:
    """The folds of one block.

    Attributes:
        parameters: The block's own, by their names within it, float32; replaced one by one.
    """

    def __init__(self, config: DecoderConfig, parameters: dict[str, Tensor], dtype: torch.dtype) -> None:
        """Nothing is folded yet.

        Args:
            config: The decoder's shape.
            parameters: Of the block.
            dtype: What norms are stored in.
        """
        self._config, self.parameters, self._dtype = config, parameters, dtype

    def possible(self, linear: str) -> bool:
        """Whether anything before the layer can take scales: norms after the sub-layers cannot."""
        return linear in (OUTPUT, DOWN) or not self._config.norm_after

    def exact(self, linear: str, scales: Tensor) -> Tensor:
        """The nearest scales [inputs] that can be folded without an error.

        Query heads that read the same value head have the same ones, and a norm's weight divided by its scale is a
        number of the norm's dtype: the layer's columns make up for what rounding does to it.
        """
        if linear == OUTPUT:
            heads = scales.view(self._config.kv_heads, -1, self._config.head_dim)
            return heads.amax(1, keepdim=True).expand_as(heads).flatten()
        if linear == DOWN:
            return scales
        norm = self.parameters[NORMS[linear]]
        stored = (norm / scales).to(self._dtype).float()
        return torch.where(stored == 0, 1.0, norm / stored)

    def fold(self, linear: str, scales: Tensor) -> None:
        """Divides the inputs of a layer by scales [inputs] from `exact`, and multiplies its columns."""
        weight = f"{linear}.weight"
        self.parameters[weight] = self.parameters[weight] * scales
        if linear in NORMS:
            self.parameters[NORMS[linear]] = self.parameters[NORMS[linear]] / scales
        elif linear == OUTPUT:
            self._divide_rows(QKV, self._value_rows(), self._of_value_heads(scales))
        else:
            self._divide_rows(UP_GATE, slice(0, self._config.mlp_width), scales)

    def _divide_rows(self, linear: str, rows: slice, scales: Tensor) -> None:
        for part in ("weight", "bias"):
            old = self.parameters.get(f"{linear}.{part}")
            if old is not None:
                new = old.clone()
                new[rows] = old[rows] / (scales.unsqueeze(1) if part == "weight" else scales)
                self.parameters[f"{linear}.{part}"] = new

    def _value_rows(self) -> slice:
        values = self._config.kv_heads * self._config.head_dim
        rows = len(self.parameters[f"{QKV}.weight"])
        return slice(rows - values, rows)

    def _of_value_heads(self, scales: Tensor) -> Tensor:
        """Scales [kv_heads * head_dim] of scales [heads * head_dim] that groups share."""
        return scales.view(self._config.kv_heads, -1, self._config.head_dim)[:, 0].flatten()
