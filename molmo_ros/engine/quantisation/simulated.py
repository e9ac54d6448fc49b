# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A quantised model in torch: what its engine answers, without the chip that it is for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from molmo_ros.engine.quantisation.quantised_linear import QuantisedLinear, QuantisedWeights, quantise_inputs
from molmo_ros.molmo.network.model import MolmoModel


def simulated(model: MolmoModel, quantised: QuantisedWeights) -> MolmoModel:
    """A model that rounds as the engine of quantised parameters does.

    Args:
        model: The model at full precision. What is not quantised is shared with it, not copied.
        quantised: Of the same model.

    Returns:
        The model with dequantised weights in the dtype of `model`, which rounds inputs where the format does.
    """
    with torch.device("meta"):
        copy = MolmoModel(model.config)
    state = dict(model.state_dict())
    for name in state:
        if name.startswith("decoder.blocks."):
            layer = name.removesuffix(".weight")
            new = quantised.linear(layer).dequantise() if layer in quantised.formats else quantised.read(name)
            state[name] = new.to(model.device, model.dtype)
    copy.load_state_dict(state, assign=True)
    for name in quantised.formats:
        round_inputs(copy.get_submodule(name), quantised.linear(name))
    return copy.eval()


def round_inputs(module: nn.Module, linear: QuantisedLinear) -> None:
    """Has a layer round its inputs, where its format does."""
    if not linear.format.quantises_inputs:
        return

    def rounded(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (quantise_inputs(inputs[0], linear), *inputs[1:])

    module.register_forward_pre_hook(rounded)
