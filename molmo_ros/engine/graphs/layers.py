# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Layers that both graphs are made of, as ONNX nodes; each has the name and arguments of its torch twin."""

from __future__ import annotations

import math

import torch

from molmo_ros.engine.graphs.graph_writer import GraphWriter
from molmo_ros.engine.graphs.quantised_product import quantised_product


def linear(graph: GraphWriter, x: str, name: str, inputs: int, outputs: int, bias: bool = False) -> str:
    """x @ weight.T + bias, with the parameters `name`.weight, quantised where the graph has it so, and `name`.bias."""
    if graph.quantised is not None and name in graph.quantised.formats:
        y = quantised_product(graph, x, name, inputs, outputs, graph.quantised)
    else:
        y = graph.node("MatMul", x, graph.matrix(f"{name}.weight", inputs, outputs))
    return graph.node("Add", y, graph.parameter(f"{name}.bias", [outputs])) if bias else y


def rms_norm(graph: GraphWriter, x: str, name: str, width: int, eps: float) -> str:
    """`decoder.RMSNorm`: in float32, cast back, then times the weight."""
    weight = graph.parameter(f"{name}.weight", [width])
    return graph.node("RMSNormalization", x, weight, axis=-1, epsilon=eps, stash_type=1)


def layer_norm(graph: GraphWriter, x: str, name: str, width: int, eps: float) -> str:
    """torch's LayerNorm over the last axis."""
    weight, bias = graph.parameter(f"{name}.weight", [width]), graph.parameter(f"{name}.bias", [width])
    return graph.node("LayerNormalization", x, weight, bias, axis=-1, epsilon=eps, stash_type=1)


def silu(graph: GraphWriter, x: str) -> str:
    """x * sigmoid(x)."""
    return graph.node("Mul", x, graph.node("Sigmoid", x))


def split_heads(graph: GraphWriter, x: str, heads: int, head_dim: int) -> str:
    """[B, L, heads * head_dim] to [B, heads, L, head_dim]."""
    shaped = graph.node("Reshape", x, graph.integers(0, 0, heads, head_dim))
    return graph.node("Transpose", shaped, perm=[0, 2, 1, 3])


def join_heads(graph: GraphWriter, x: str, width: int) -> str:
    """[B, heads, L, head_dim] to [B, L, width]."""
    return graph.node("Reshape", graph.node("Transpose", x, perm=[0, 2, 1, 3]), graph.integers(0, 0, width))


def attention(graph: GraphWriter, query: str, key: str, value: str, mask: str | None, head_dim: int) -> str:
    """`attention.attend` with a boolean mask that broadcasts to [B, heads, L, K], or none: [B, heads, L, head_dim].

    The softmax is in float32 whatever the graph's dtype.
    """
    inputs = [query, key, value] + ([] if mask is None else [mask])
    return graph.node("Attention", *inputs, scale=1 / math.sqrt(head_dim))


def in_float32(graph: GraphWriter, *values: str) -> list[str]:
    """The values as float32."""
    if graph.dtype == torch.float32:
        return list(values)
    return [graph.cast(value, torch.float32) for value in values]


def from_float32(graph: GraphWriter, value: str) -> str:
    """A float32 value in the graph's dtype."""
    return value if graph.dtype == torch.float32 else graph.cast(value, graph.dtype)
