# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Computes a parsed network in torch: by need, and with no value kept longer than it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.tensorrt.parsed.layer_functions import compute, torch_type
from molmo_ros.engine.tensorrt.parsed.parsed_network import ParsedLayer, ParsedNetwork

KEPT = 256 << 20
"""Of what depends on no input, as many bytes as this are computed once and kept."""


class Interpreter:
    """A parsed network, ready to run.

    A cache that a layer updates in place is written where it lies: the tensor that goes in comes out.

    Attributes:
        network: What it runs.
        aliases: Outputs that are the memory of an input, by the output's name.
    """

    def __init__(self, network: ParsedNetwork, *, wide: bool = False, kept: int = KEPT) -> None:
        """Looks at the network; computes nothing yet.

        Args:
            network: What to run.
            wide: Whether 16-bit floating-point numbers are computed as float32.
            kept: Bytes of values without inputs that are kept between runs.

        Raises:
            EngineError: A cache is read as it was before its update.
        """
        self.network, self.wide, self.aliases = network, wide, network.aliases()
        self._room, self._constants = kept, dict[str, Tensor]()
        self._inputs = {one.name: one for one in network.inputs}
        self._orders: dict[tuple[frozenset[str], tuple[str, ...]], tuple[list[ParsedLayer], set[str]]] = {}

    @torch.inference_mode()
    def run(self, given: Mapping[str, Tensor], wanted: Iterable[str] = ()) -> dict[str, Tensor]:
        """Values of the network, computed from others.

        Args:
            given: The inputs that are needed, or any other values of the network, by name. Caches are written to.
            wanted: Names of values; default: all outputs.

        Raises:
            EngineError: A layer cannot be computed, an input is missing, or is not what the network takes.
        """
        names = tuple(wanted) or tuple(one.name for one in self.network.outputs)
        for name, value in given.items():
            if name in self._inputs:
                self._check_input(name, value)
        key = (frozenset(given), names)
        if key not in self._orders:
            needed = self.network.needed(names, [*given])
            self._orders[key] = needed, _without_inputs(needed)
        order, fixed = self._orders[key]
        left = Counter(name for layer in order for name in layer.needs)
        left.update(names)
        values = dict(given)
        for layer in order:
            self._run_layer(layer, values, layer.outputs[0].name in fixed)
            for name in layer.needs:
                left[name] -= 1
                if not left[name]:
                    values.pop(name, None)
        return {name: values[name] for name in names}

    def _run_layer(self, layer: ParsedLayer, values: dict[str, Tensor], fixed: bool) -> None:
        if fixed and layer.outputs[0].name in self._constants:
            values.update((one.name, self._constants[one.name]) for one in layer.outputs)
            return
        inputs = [None if one is None else values[one.name] for one in layer.inputs]
        outputs = compute(layer, inputs, self.wide)
        for one, value in zip(layer.outputs, outputs, strict=True):
            values[one.name] = value
        size = (
            0 if layer.kind == "CONSTANT" or _shares(outputs, inputs) else sum(one.nbytes for one in outputs)
        )
        if fixed and size <= self._room:
            self._room -= size
            self._constants.update((one.name, values[one.name]) for one in layer.outputs)

    def _check_input(self, name: str, value: Tensor) -> None:
        wanted = self._inputs[name]
        fits = len(wanted.shape) == value.ndim and all(
            one in (-1, size) for one, size in zip(wanted.shape, value.shape, strict=True)
        )
        if value.dtype != torch_type(wanted.type, self.wide) or not fits:
            raise EngineError(
                f"input {name} is {tuple(value.shape)} of {value.dtype}; the network takes {wanted.shape} of "
                f"{wanted.type}"
            )


def _shares(outputs: tuple[Tensor, ...], inputs: list[Tensor | None]) -> bool:
    """Whether all outputs are views of inputs."""
    there = {one.untyped_storage().data_ptr() for one in inputs if one is not None}
    return all(one.untyped_storage().data_ptr() in there for one in outputs)


def _without_inputs(order: list[ParsedLayer]) -> set[str]:
    """The values that depend on nothing that is given."""
    fixed: set[str] = set()
    for layer in order:
        if all(name in fixed for name in layer.needs):
            fixed.update(one.name for one in layer.outputs)
    return fixed
