"""One decoder block, quantised on the inputs that its layers had: scales folded, groups clipped, weights rounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from molmo_ros.engine.quantisation.folding import Folding
from molmo_ros.engine.quantisation.formats import LINEARS, QKV, Format
from molmo_ros.engine.quantisation.linear_inputs import LinearInputs
from molmo_ros.engine.quantisation.quantised_linear import QuantisedLinear, quantise
from molmo_ros.engine.quantisation.weight_search import (
    candidate_scales,
    clipped_limits,
    input_range,
    output_error,
)
from molmo_ros.molmo.config import DecoderConfig


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
