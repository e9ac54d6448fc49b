# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A block's MLP as a mixture of experts: a router lets a few of many MLPs work on each token.

Source: OLMoE, arXiv:2409.02060, section 2; hub modeling_molmoe.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from molmo_ros.molmo.config import DecoderConfig
from molmo_ros.molmo.network.initial import normal_parameter


class Experts(nn.Module):
    """The experts' weights, stacked; an expert is down(silu(gate(x)) * up(x)), as the dense MLP.

    Attributes:
        up_gate: [experts, 2 * mlp_width, width]; the first half of the rows is `up`, the second the gate.
        down: [experts, width, mlp_width].
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        experts, width, inner = config.experts, config.width, config.mlp_width
        self.up_gate = normal_parameter(experts, 2 * inner, width)
        self.down = normal_parameter(experts, width, inner)

    def forward(self, tokens: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """Sums of the chosen experts' outputs.

        Args:
            tokens: [N, width].
            weights: What each output counts [N, k].
            chosen: Which experts work on each token, int64 [N, k], different ones in a row.

        Returns:
            [N, width].
        """
        # One product per expert in use, on a view of its weights: the time of a token is that of reading weights,
        # and gathering the chosen ones into one tensor would read and write them once more.
        sums = torch.zeros_like(tokens)
        experts, order = chosen.flatten().sort(stable=True)
        groups = torch.stack(experts.unique_consecutive(return_counts=True), dim=1).tolist()
        share = weights.flatten()
        start = 0
        # In ascending order, as the reference adds them up.
        for expert, count in groups:
            places = order[start : start + count]
            rows = places // chosen.shape[1]
            up, gate = functional.linear(tokens[rows], self.up_gate[expert]).chunk(2, dim=-1)
            output = functional.linear(functional.silu(gate) * up, self.down[expert])
            # Under autocast the products are narrower than the tokens.
            sums.index_add_(0, rows, (output * share[places].unsqueeze(1)).to(sums.dtype))
            start += count
        return sums


class MixtureOfExperts(nn.Module):
    """Router and experts; takes the place of the dense MLP of a block."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.experts_per_token = config.experts_per_token
        self.router = nn.Linear(config.width, config.experts, bias=False)
        self.experts = Experts(config)

    def forward(self, x: Tensor) -> Tensor:
        """The experts' weighted sum [..., width] for tokens [..., width]."""
        tokens = x.flatten(0, -2)
        weights, chosen = self.route(self.router(tokens))
        return self.experts(tokens, weights.to(tokens.dtype), chosen).view_as(x)

    def route(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The most probable experts of each token.

        Args:
            logits: Scores of all experts [N, experts].

        Returns:
            Probabilities among all experts, float32 [N, k], which therefore sum to less than one, and the
            experts' numbers, int64 [N, k], the most probable first.
        """
        probabilities = logits.softmax(dim=-1, dtype=torch.float32)
        weights, chosen = probabilities.topk(self.experts_per_token, dim=-1)
        return weights, chosen
