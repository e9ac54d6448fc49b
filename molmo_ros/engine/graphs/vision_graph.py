# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The vision side as an ONNX graph: tower, pooling and projector; the twin of `network/vision.py` and `connector.py`.

| input | type | shape | what |
|---|---|---|---|
| crops | uint8, or the graph's | [views, patches, patch_values] | patches; the tower runs on each of them |
| colours | float32 | [2, patch_values] | what normalises patches of uint8, see `ProcessedImage`; only with those |
| pooling | int64 | [tokens, slots] | the patches of each token, numbered through all crops; negative for none |
| coverage | float32 | [crops, patches] | how much of each patch is image; only for models that mark padding |

| output | type | shape | what |
|---|---|---|---|
| tokens | the graph's | [tokens, decoder width] | the image features |
| patches | the graph's | [crops * patches, feature width] | what a point head chooses from; only with one |

There are as many views as crops, or one where all crops of an image are the same picture. What marks padding is not the
same for them all the same: in a tiling of 1x1 the global view has other marks than the tile, so `coverage` is of every
crop. Without `coverage` the graph knows of views alone, and `pooling` counts their patches.

Patches of uint8 are normalised by the operations of `running/colours.py`, in float32. Those of the graph's dtype are
normalised already: of models whose images are not rounded to 8 bits, and of graphs that were built before there was a
choice.

Attention runs in the graph's dtype with a softmax in float32, also where a config asks for float32 throughout: on a
GPU the fused kernels accumulate in float32, and the difference is what rounding its inputs to 16 bits makes.
"""

from __future__ import annotations

import numpy as np
import torch

from molmo_ros.engine.graphs.graph_writer import GraphWriter
from molmo_ros.engine.graphs.layers import attention, join_heads, layer_norm, linear, silu, split_heads
from molmo_ros.engine.quantisation.quantised_linear import ReadParameter
from molmo_ros.molmo.config import ConnectorConfig, MolmoConfig, VisionConfig


def vision_graph(
    config: MolmoConfig, dtype: torch.dtype, read: ReadParameter, eight_bits: bool = False
) -> GraphWriter:
    """The graph of a model's vision side.

    Args:
        config: The model's shape.
        dtype: Of weights and activations.
        read: Where parameters come from.
        eight_bits: Whether patches are uint8, see `ImageStyle.eight_bits`.
    """
    graph = GraphWriter("vision", dtype, read)
    vision, connector = config.vision, config.connector
    given = torch.uint8 if eight_bits else dtype
    crops = graph.input("crops", given, ["views", vision.patches, vision.patch_values])
    if eight_bits:
        crops = normalise_patches(
            graph, crops, graph.input("colours", torch.float32, [2, vision.patch_values])
        )
    slots = connector.pool[0] * connector.pool[1] if connector.crop_pooling else "slots"
    pooling = graph.input("pooling", torch.int64, ["tokens", slots])
    features = tower(graph, vision, crops)
    if connector.pad_embed:
        coverage = graph.input("coverage", torch.float32, ["crops", vision.patches])
        features = _mark_padding(graph, connector, features, coverage)
    patches = graph.node("Reshape", features, graph.integers(-1, vision.feature_width))
    tokens = _connector(graph, connector, patches, pooling)
    graph.output(tokens, "tokens", dtype, ["tokens", connector.output_width])
    if config.point_head is not None:
        graph.output(patches, "patches", dtype, ["all_patches", vision.feature_width])
    return graph


def normalise_patches(graph: GraphWriter, crops: str, colours: str) -> str:
    """`colours.normalise` of uint8 patches, in the graph's dtype."""
    graph.scope("colours")
    mean, std = (
        graph.node("Gather", colours, graph.constant(np.array(row, np.int64)), axis=0) for row in (0, 1)
    )
    values = graph.cast(crops, torch.float32)
    values = graph.node("Div", values, graph.scalar(255.0, torch.float32))
    values = graph.node("Div", graph.node("Sub", values, mean), std)
    return values if graph.dtype == torch.float32 else graph.cast(values, graph.dtype)


def tower(graph: GraphWriter, config: VisionConfig, crops: str) -> str:
    """Features [crops, patches, feature width] of crops [crops, patches, patch_values]."""
    graph.scope("vision")
    width = config.width
    x = linear(graph, crops, "vision.patch_embedding", config.patch_values, width, config.patch_bias)
    if config.class_token:
        count = graph.node("Shape", crops, start=0, end=1)
        one = graph.parameter("vision.class_embedding", [width])
        shape = graph.node("Concat", count, graph.integers(1, width), axis=0)
        x = graph.node("Concat", graph.node("Expand", one, shape), x, axis=1)
    positions = config.patches + int(config.class_token)
    x = graph.node("Add", x, graph.parameter("vision.position_embedding", [positions, width]))
    if config.pre_norm:
        x = layer_norm(graph, x, "vision.pre_norm", width, config.norm_eps)
    outputs = {}
    for number in range(config.blocks_used):
        graph.scope(f"vision.blocks.{number}")
        x = _block(graph, config, x, f"vision.blocks.{number}")
        outputs[number] = x
    graph.scope("features")
    features = [outputs[number] for number in config.feature_layers]
    joined = features[0] if len(features) == 1 else graph.node("Concat", *features, axis=-1)
    if not config.class_token:
        return joined
    return graph.node("Slice", joined, graph.integers(1), graph.integers(positions), graph.integers(1))


def _block(graph: GraphWriter, config: VisionConfig, x: str, name: str) -> str:
    width, heads = config.width, config.heads
    inner = heads * config.head_dim
    normed = layer_norm(graph, x, f"{name}.attention_norm", width, config.norm_eps)
    query, key, value = (
        split_heads(
            graph,
            linear(graph, normed, f"{name}.attention.{part}", width, inner, True),
            heads,
            config.head_dim,
        )
        for part in ("query", "key", "value")
    )
    mixed = attention(graph, query, key, value, None, config.head_dim)
    x = graph.node(
        "Add",
        x,
        linear(graph, join_heads(graph, mixed, inner), f"{name}.attention.output", inner, width, True),
    )
    normed = layer_norm(graph, x, f"{name}.mlp_norm", width, config.norm_eps)
    up = linear(graph, normed, f"{name}.mlp.up", width, config.mlp_width, True)
    if config.activation == "quick_gelu":
        gate = graph.node("Sigmoid", graph.node("Mul", up, graph.scalar(1.702)))
        active = graph.node("Mul", up, gate)
    else:
        active = graph.node("Gelu", up, approximate="tanh")
    return graph.node("Add", x, linear(graph, active, f"{name}.mlp.down", config.mlp_width, width, True))


def _mark_padding(graph: GraphWriter, config: ConnectorConfig, features: str, coverage: str) -> str:
    """`Connector.mark_padding`, of features [crops or 1, patches, feature width]: each crop gets marks of its own."""
    graph.scope("connector.pad_embed")
    embeddings = graph.parameter("connector.pad_embed", [2, config.feature_width])
    whole = graph.node("Equal", coverage, graph.scalar(0.0, torch.float32))
    below = graph.node("Less", coverage, graph.scalar(1.0, torch.float32))
    crops = graph.node("Shape", coverage, start=0, end=1)
    features = graph.node("Expand", features, graph.node("Concat", crops, graph.integers(1, 1), axis=0))
    partial = graph.node("And", below, graph.node("Not", whole))
    for row, which in enumerate((whole, partial)):
        share = graph.node("Unsqueeze", graph.cast(which, graph.dtype), graph.integers(-1))
        embedding = graph.node("Gather", embeddings, graph.constant(np.array(row)), axis=0)
        features = graph.node("Add", features, graph.node("Mul", share, embedding))
    return features


def _connector(graph: GraphWriter, config: ConnectorConfig, patches: str, pooling: str) -> str:
    """Image features [tokens, output width] of patches [n, feature width], by the table [tokens, slots]."""
    graph.scope("connector")
    inner = config.heads * config.head_dim
    zero = graph.integers(0)
    filled = graph.node("GreaterOrEqual", pooling, zero)
    share = graph.node("Unsqueeze", graph.cast(filled, graph.dtype), graph.integers(-1))  # [tokens, slots, 1]
    members = graph.node("Gather", patches, graph.node("Max", pooling, zero), axis=0)
    members = graph.node("Mul", members, share)
    mask = None
    if config.mask_empty_slots:
        total = graph.node("ReduceSum", members, graph.integers(1), keepdims=1)
        count = graph.node("ReduceSum", share, graph.integers(1), keepdims=1)
        mean = graph.node("Div", total, count)
        mask = graph.node("Unsqueeze", filled, graph.integers(1, 2))  # [tokens, 1, 1, slots]
    else:
        mean = graph.node("ReduceMean", members, graph.integers(1), keepdims=1)
    name, width = "connector.pooling", config.feature_width
    query, key, value = (
        split_heads(
            graph, linear(graph, x, f"{name}.{part}", width, inner, True), config.heads, config.head_dim
        )
        for part, x in (("query", mean), ("key", members), ("value", members))
    )
    mixed = attention(graph, query, key, value, mask, config.head_dim)
    pooled = graph.node(
        "Reshape", graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), graph.integers(-1, inner)
    )
    if config.pooling_output:
        pooled = linear(graph, pooled, f"{name}.output", inner, config.width, True)
        inner = config.width
    name, hidden = "connector.projector", config.hidden_width
    gate = silu(graph, linear(graph, pooled, f"{name}.gate", inner, hidden))
    up = linear(graph, pooled, f"{name}.up", inner, hidden)
    return linear(graph, graph.node("Mul", gate, up), f"{name}.down", hidden, config.output_width)
