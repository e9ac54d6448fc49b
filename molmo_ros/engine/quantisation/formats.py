# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which linear layers of a decoder get which number format at each precision.

| precision | weights | scales | inputs |
|---|---|---|---|
| int8 | int8 | one for each output | int8, one static scale |
| int4 | int4 | one for 128 inputs of an output | as they are, 16 bit |
| fp8 | E4M3 | one for each output | E4M3, one static scale |
| nvfp4 | E2M1 | E4M3, one for 16 inputs of an output; one float32 over all | as they are, 16 bit |

A layer whose inputs cannot be cut into groups of 128 has the largest of 64, 32 and 16 that can; one that cannot be cut
into groups of 16 either stays at 16 bit.

Only the four linear layers of each decoder block are quantised. Vision tower, connector, point head, embeddings, norms
and biases stay at 16 bit, and so does the output head: it picks the digits of every coordinate.
"""

from __future__ import annotations

from dataclasses import dataclass

from molmo_ros.engine.errors import UnsupportedBuildError
from molmo_ros.molmo.config import DecoderConfig

GROUPS = (128, 64, 32, 16)
"""Inputs that may share a scale, the preferred number first."""
NVFP4_BLOCK = 16
SIXTEEN_BITS = ("fp16", "bf16")
QUANTISED = ("int8", "int4", "fp8", "nvfp4")
LARGEST = {"int8": 127.0, "int4": 7.0, "fp8": 448.0, "nvfp4": 6.0}
"""The largest value of each format before its scale; int4's -8 is used by none."""
QKV, OUTPUT, UP_GATE, DOWN = "attention.qkv", "attention.output", "mlp.up_gate", "mlp.down"
LINEARS = (QKV, OUTPUT, UP_GATE, DOWN)
"""The linear layers of a block."""


@dataclass(frozen=True)
class Format:
    """How the weight of a linear layer is stored.

    Attributes:
        name: One of `QUANTISED`.
        group: How many inputs of an output share a scale; None: all.
    """

    name: str
    group: int | None = None

    @property
    def largest(self) -> float:
        """The largest value before the scale."""
        return LARGEST[self.name]

    @property
    def packed(self) -> bool:
        """Whether a byte holds two values."""
        return self.name in ("int4", "nvfp4")

    @property
    def quantises_inputs(self) -> bool:
        """Whether the layer's inputs are rounded too, with a static scale."""
        return self.name in ("int8", "fp8")

    @property
    def searched(self) -> bool:
        """Whether scales and limits are searched on calibration inputs.

        nvfp4 is rounded to the nearest: with a scale for 16 weights, folds and clipping moved the embedded model's
        predictions further off instead of bringing them closer (`benchmarks/quantisation.py`).
        """
        return self.name != "nvfp4"


def linear_formats(config: DecoderConfig, precision: str) -> dict[str, Format]:
    """The format of each quantised layer, by the name that `MolmoModel` has for it; layers at 16 bit are not in it.

    Args:
        config: The decoder's shape.
        precision: One of `SIXTEEN_BITS` and `QUANTISED`.

    Raises:
        UnsupportedBuildError: There is no such precision, or the model's MLPs are experts, which stay at 16 bit.
    """
    if precision in SIXTEEN_BITS:
        return {}
    if precision not in QUANTISED:
        raise UnsupportedBuildError(
            f"precision {precision!r:.40} is not known; it must be one of {', '.join(SIXTEEN_BITS + QUANTISED)}"
        )
    if config.experts:
        raise UnsupportedBuildError(
            f"precision {precision} is for dense models: {config.experts} experts are not quantised; "
            f"build with one of {', '.join(SIXTEEN_BITS)}"
        )
    formats: dict[str, Format] = {}
    for name, inputs in _inputs(config).items():
        found = _format(precision, inputs)
        if found is not None:
            formats |= {f"decoder.blocks.{layer}.{name}": found for layer in range(config.layers)}
    return formats


def _inputs(config: DecoderConfig) -> dict[str, int]:
    heads = config.heads * config.head_dim
    return {QKV: config.width, OUTPUT: heads, UP_GATE: config.width, DOWN: config.mlp_width}


def _format(precision: str, inputs: int) -> Format | None:
    """The format of a layer with so many inputs; None where it stays at 16 bit."""
    if precision in ("int8", "fp8"):
        return Format(precision)
    groups = (NVFP4_BLOCK,) if precision == "nvfp4" else GROUPS
    return next((Format(precision, group) for group in groups if inputs % group == 0), None)
