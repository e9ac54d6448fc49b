# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A block's mixture of experts in the decoder's graph; the twin of `network/experts.py`.

It is one node, MoE, which onnxruntime has beyond ONNX's own operators; it reads the weights of chosen experts only.
TensorRT's parser does not know it: `tensorrt/lowering.py` writes it out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from molmo_ros.engine.graphs.graph_writer import GraphWriter, Weight
from molmo_ros.engine.graphs.layers import linear
from molmo_ros.molmo.config import DecoderConfig

DOMAIN = "com.microsoft"
SILU_TIMES_UP = {
    "activation_type": "swiglu",
    "swiglu_fusion": 1,
    "activation_alpha": 1.0,
    "activation_beta": 0.0,
}
"""gate * sigmoid(alpha * gate) * (up + beta), of rows that take turns: the first of the gate, the first of up, ..."""


def mixture_of_experts(graph: GraphWriter, x: str, name: str, config: DecoderConfig) -> str:
    """The weighted sum of the chosen experts' outputs.

    Args:
        graph: Where the nodes go.
        x: [1, q, width].
        name: What the parameters' names begin with.
        config: Of a decoder that has experts.

    Returns:
        [1, q, width].
    """
    experts, width, inner = config.experts, config.width, config.mlp_width
    up_gate = f"{name}.experts.up_gate"
    gate_up = Weight(
        f"{up_gate}.in_turns",
        (experts, 2 * inner, width),
        graph.type,
        lambda: in_turns(graph.read(up_gate).to(graph.dtype)),
    )
    scores = linear(graph, x, f"{name}.router", width, experts)
    return graph.node(
        "MoE",
        x,
        graph.node("Reshape", scores, graph.integers(-1, experts)),
        graph.weight(gate_up),
        "",  # no bias
        graph.parameter(f"{name}.experts.down", [experts, width, inner]),
        domain=DOMAIN,
        k=config.experts_per_token,
        normalize_routing_weights=0,  # what the chosen count are their probabilities among all
        **SILU_TIMES_UP,
    )


def in_turns(up_gate: Tensor) -> Tensor:
    """Rows [experts, up then gate, width] in the node's order: gate, up, gate, up, ..."""
    up, gate = up_gate.chunk(2, dim=1)
    return torch.stack([gate, up], dim=2).flatten(1, 2)
