# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One decoder block, quantised on the inputs that its layers had: scales folded, groups clipped, weights rounded.

Scales and limits are those under which rounding changes a layer's outputs least, by trying them on real inputs. Scales:
AWQ (arXiv:2306.00978, section 3.2) where only weights are rounded, SmoothQuant (arXiv:2211.10438, section 4) where
inputs are too. Limits of groups: as AWQ's published code clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from molmo_ros.engine.quantisation.folding import Folding
from molmo_ros.engine.quantisation.formats import LINEARS, QKV, Format
from molmo_ros.engine.quantisation.linear_inputs import LinearInputs
from molmo_ros.engine.quantisation.quantised_linear import QuantisedLinear, quantise, quantise_inputs
from molmo_ros.molmo.config import DecoderConfig

STEPS = 10
"""Exponents that are tried, from 0 to 1."""
SHRINKS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6)
"""Parts of the largest magnitude that limits are tried at."""
ROWS = 1024
"""Outputs whose groups are tried at a time, for the memory that it takes."""


@dataclass(frozen=True)
class QuantisedBlock:
    """What became of a block.

    Attributes:
        linears: The quantised layers, by their names within the block.
        parameters: All others, in the engine's dtype.
    """

    linears: dict[str, QuantisedLinear]
    parameters: dict[str, Tensor]


class BlockQuantiser:
    """Quantises the blocks of a model, one after the other."""

    def __init__(self, config: DecoderConfig, formats: Mapping[str, Format], dtype: torch.dtype) -> None:
        """Prepares nothing.

        Args:
            config: The decoder's shape.
            formats: Of a block's layers, by their names within it; the others stay at 16 bit.
            dtype: Of the engine.
        """
        self._config, self._formats, self._dtype = config, formats, dtype

    def quantise(
        self, parameters: Mapping[str, Tensor], inputs: Mapping[str, LinearInputs]
    ) -> QuantisedBlock:
        """Quantises a block.

        Args:
            parameters: The block's, by their names within it, float32.
            inputs: What each of its layers was given, as the block is.
        """
        folding, seen = Folding(self._config, dict(parameters), self._dtype), dict(inputs)
        for name in LINEARS:
            if name in self._formats and self._formats[name].searched and folding.possible(name):
                scales = self._scales(folding, name, seen[name])
                folding.fold(name, scales)
                seen[name] = seen[name].divided(scales)
        # After all folds: those of `output` and `down` change rows of the layers before them.
        linears = {
            name: self._rounded(name, folding.parameters.pop(f"{name}.weight"), seen[name])
            for name in LINEARS
            if name in self._formats
        }
        rest = {name: value.to(self._dtype) for name, value in folding.parameters.items()}
        return QuantisedBlock(linears, rest)

    def _scales(self, folding: Folding, name: str, inputs: LinearInputs) -> Tensor:
        """Of the scales to try, those with the smallest error."""
        weight, form = folding.parameters[f"{name}.weight"], self._formats[name]
        wanted = functional.linear(inputs.sample, weight)
        best, least = torch.ones_like(inputs.peak), torch.inf
        for candidate in candidate_scales(weight, inputs, form):
            scales = folding.exact(name, candidate)
            divided, scaled = inputs.divided(scales), weight * scales
            linear = quantise(scaled, form, self._dtype, input_range=float(divided.peak.max()))
            error = float(output_error(wanted, divided, linear).mean())
            if error < least:
                best, least = scales, error
        return best

    def _rounded(self, name: str, weight: Tensor, inputs: LinearInputs) -> QuantisedLinear:
        form = self._formats[name]
        if form.quantises_inputs:
            reach = input_range(weight, inputs, form, self._dtype)
            return quantise(weight, form, self._dtype, input_range=reach)
        plain = quantise(weight, form, self._dtype)
        if not form.searched:
            return plain
        limits = clipped_limits(weight, inputs, form, self._dtype)
        clipped = quantise(weight, form, self._dtype, limits=limits)
        # Errors of groups may add up: an output keeps its limits only where they are good for all of it. Queries and
        # keys are not clipped at all, as in AWQ: scores multiply their errors.
        wanted = functional.linear(inputs.sample, weight)
        keep = output_error(wanted, inputs, clipped) < output_error(wanted, inputs, plain)
        if name == QKV:
            keep[: -self._config.kv_heads * self._config.head_dim] = False
        whole = weight.unflatten(1, (limits.shape[1], -1)).abs().amax(-1)
        return quantise(weight, form, self._dtype, limits=torch.where(keep.unsqueeze(1), limits, whole))


def output_error(wanted: Tensor, inputs: LinearInputs, linear: QuantisedLinear) -> Tensor:
    """The mean square by which each output is off on the sample [outputs].

    Args:
        wanted: The layer's outputs on the sample, before anything was rounded [n, outputs].
        inputs: Of the quantised layer: divided by the scales that its weight was multiplied by.
        linear: Its weight.
    """
    got = functional.linear(quantise_inputs(inputs.sample, linear), linear.dequantise())
    return (got - wanted).pow_(2).mean(0)


def candidate_scales(weight: Tensor, inputs: LinearInputs, form: Format) -> list[Tensor]:
    """Scales [inputs] to try; the first are ones."""
    if form.quantises_inputs:
        activity, reach = inputs.peak, weight.abs().amax(0)
    else:
        activity, reach = inputs.sample.abs().mean(0), torch.ones_like(inputs.peak)
    activity, reach = (part / part.max().clamp(min=1e-12) for part in (activity, reach))
    scales = [torch.ones_like(activity)]
    for step in range(1, STEPS + 1):
        share = step / STEPS
        one = activity.clamp(min=1e-4) ** share / reach.clamp(min=1e-4) ** (1 - share)
        scales.append(one / (one.max() * one.min()).sqrt())
    return scales


def clipped_limits(weight: Tensor, inputs: LinearInputs, form: Format, dtype: torch.dtype) -> Tensor:
    """The limits of groups [outputs, groups] under which each group's part of the output is off least.

    Args:
        weight: [outputs, inputs].
        inputs: Of the layer.
        form: One with groups.
        dtype: Of scales.
    """
    assert form.group is not None, "only groups have limits of their own"
    samples = inputs.sample.unflatten(1, (-1, form.group))  # [n, groups, group]
    products = torch.einsum("ngi,ngj->gij", samples, samples)
    return torch.cat([_limits(rows, products, form, dtype) for rows in weight.split(ROWS)])


def _limits(weight: Tensor, products: Tensor, form: Format, dtype: torch.dtype) -> Tensor:
    """`clipped_limits`, by the products of inputs with each other [groups, group, group]."""
    largest = weight.unflatten(1, (len(products), -1)).abs().amax(-1)
    best, least = largest, torch.full_like(largest, torch.inf)
    for shrink in (1.0, *SHRINKS):
        limits = largest * shrink
        change = quantise(weight, form, dtype, limits=limits).dequantise() - weight
        change = change.unflatten(1, (len(products), -1))
        error = (torch.einsum("ogi,gij->ogj", change, products) * change).sum(-1)
        better = error < least
        best, least = torch.where(better, limits, best), torch.where(better, error, least)
    return best


def input_range(weight: Tensor, inputs: LinearInputs, form: Format, dtype: torch.dtype) -> float:
    """How far rounded inputs reach so that outputs are off least: the largest input, or less than that."""
    largest, wanted = float(inputs.peak.max()), functional.linear(inputs.sample, weight)
    errors = {
        reach: float(output_error(wanted, inputs, quantise(weight, form, dtype, input_range=reach)).mean())
        for reach in (largest * shrink for shrink in (1.0, *SHRINKS))
    }
    return min(errors, key=errors.__getitem__)
