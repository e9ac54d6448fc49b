# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The weight of a linear layer in few bits, and how inputs are rounded where a format rounds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from molmo_ros.engine.quantisation.formats import Format
from molmo_ros.engine.quantisation.four_bits import e2m1_codes, e2m1_values, pack, signed, unpack

ReadParameter = Callable[[str], Tensor]
"""Reads a parameter by the name that `MolmoModel` has for it."""
SMALLEST_SCALE = 2.0**-24
"""The smallest positive float16: a group of zeros needs a scale that is not 0."""
NOMINAL_RANGE = 16.0
"""How far inputs are taken to reach where nothing was calibrated: for the speed of random weights, not for answers."""


@dataclass(frozen=True)
class QuantisedLinear:
    """The weight of one linear layer.

    Attributes:
        format: How it is stored.
        values: int8 or float8_e4m3fn [outputs, inputs]; of packed formats uint8 [outputs, inputs / 2].
        scales: In the engine's 16-bit dtype, of nvfp4 float8_e4m3fn: [outputs, groups], one group where all inputs
            share a scale.
        input_scale: What a step of the inputs is, in the engine's dtype []; None where they are not rounded.
        global_scale: What nvfp4's scales are multiplied by, float32 []; None in other formats.
    """

    format: Format
    values: Tensor
    scales: Tensor
    input_scale: Tensor | None = None
    global_scale: Tensor | None = None

    def dequantise(self) -> Tensor:
        """The weight float32 [outputs, inputs] that the values stand for."""
        if self.format.name == "int4":
            values = signed(unpack(self.values))
        elif self.format.name == "nvfp4":
            values = e2m1_values(unpack(self.values))
        else:
            values = self.values.float()
        scales = self.scales.float()
        if self.global_scale is not None:
            scales = scales * self.global_scale
        return (values.unflatten(1, (scales.shape[1], -1)) * scales.unsqueeze(-1)).flatten(1)


class QuantisedWeights(Protocol):
    """A model's parameters, some of its linear layers quantised."""

    @property
    def formats(self) -> Mapping[str, Format]:
        """Of the quantised layers, by the names that `MolmoModel` has for them: known before any weight is read."""

    def read(self, name: str) -> Tensor:
        """A parameter of anything else; the quantised ones may have changed it."""

    def linear(self, name: str) -> QuantisedLinear:
        """The weight of one layer of `formats`."""


def quantise(
    weight: Tensor,
    form: Format,
    dtype: torch.dtype,
    *,
    limits: Tensor | None = None,
    input_range: float | None = None,
) -> QuantisedLinear:
    """Rounds a weight to the nearest values of a format.

    Args:
        weight: [outputs, inputs], floating point.
        form: Its group divides the inputs.
        dtype: Of the engine, and so of scales: values are rounded for the scales as they are stored.
        limits: The largest magnitude that each group is to hold [outputs, groups]; larger ones are clipped. Default:
            what the group holds.
        input_range: The largest magnitude of the inputs; default `NOMINAL_RANGE`. Without use where a format does
            not round inputs.
    """
    groups = 1 if form.group is None else weight.shape[1] // form.group
    grouped = weight.float().unflatten(1, (groups, -1))
    steps = (grouped.abs().amax(-1) if limits is None else limits) / form.largest
    if form.name == "nvfp4":
        # The largest scale is E4M3's largest number.
        global_scale = (steps.max() / torch.finfo(torch.float8_e4m3fn).max).clamp(min=SMALLEST_SCALE)
        scales = (steps / global_scale).to(torch.float8_e4m3fn)
        used = scales.float() * global_scale
        values = pack(e2m1_codes(_steps(grouped, used).flatten(1)))
        return QuantisedLinear(form, values, scales, global_scale=global_scale)
    scales = steps.clamp(min=SMALLEST_SCALE).to(dtype)
    input_scale = None
    if form.quantises_inputs:
        reach = NOMINAL_RANGE if input_range is None else input_range
        step = torch.tensor(
            max(reach / form.largest, SMALLEST_SCALE), dtype=torch.float32, device=weight.device
        )
        input_scale = step.to(dtype)
    values = _rounded(_steps(grouped, scales.float()).flatten(1), form)
    return QuantisedLinear(form, pack(values) if form.packed else values, scales, input_scale)


def quantise_inputs(x: Tensor, linear: QuantisedLinear) -> Tensor:
    """What the layer sees of its inputs [..., inputs]: rounded, and back in their dtype."""
    if linear.input_scale is None:
        return x
    scale = linear.input_scale.float()
    return (_rounded(x.float() / scale, linear.format).float() * scale).to(x.dtype)


def _steps(grouped: Tensor, scales: Tensor) -> Tensor:
    """Values [outputs, groups, inputs of a group] in steps of their scales [outputs, groups]; none where that is 0."""
    return torch.where(scales > 0, 1 / scales, 0).unsqueeze(-1) * grouped


def _rounded(steps: Tensor, form: Format) -> Tensor:
    """The nearest values of a format that is not nvfp4, halves to even, beyond the ends the ends."""
    if form.name == "fp8":
        return steps.clamp(-form.largest, form.largest).to(torch.float8_e4m3fn)
    return steps.round().clamp(-form.largest - 1, form.largest).to(torch.int8)
