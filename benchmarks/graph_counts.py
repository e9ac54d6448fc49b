"""Counts what a graph takes, node by node: the independent truth that `molmo_ros/engine/cost` is held against.

    python -m benchmarks.graph_counts

Of every model of the reference vectors, and of the embedded one in every precision: bytes of weights and operations of
products in the canonical ONNX graphs, and where TensorRT for RTX is installed in the networks that its parser makes of
them, beside what the formulas say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import onnx
from onnx import TensorProto, helper, shape_inference


@dataclass(frozen=True)
class Counts:
    """What a graph takes for one pass.

    Attributes:
        weights: Bytes of its weights, all of them; small constants are not counted.
        operations: Of its products of matrices, attention included.
    """

    weights: int
    operations: int


def count_onnx(model: onnx.ModelProto, sizes: Mapping[str, int]) -> Counts:
    """Counts an ONNX graph.

    Args:
        model: Its weights may be elsewhere.
        sizes: Of every dynamic dimension of its inputs, by name.
    """
    bound = onnx.ModelProto()
    bound.CopyFrom(model)
    for value in (*bound.graph.input, *bound.graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_value = sizes.get(dimension.dim_param, 0)
    for node in bound.graph.node:
        if node.op_type == "MoE":  # onnxruntime's own: ONNX does not know that its output is like its input
            width = next(one.dims[1] for one in bound.graph.initializer if one.name == node.input[4])
            shape = [1, sizes["q"], width]
            bound.graph.value_info.append(
                helper.make_tensor_value_info(
                    node.output[0], bound.graph.input[0].type.tensor_type.elem_type, shape
                )
            )
    graph = shape_inference.infer_shapes(bound, data_prop=True).graph
    shapes = {one.name: tuple(one.dims) for one in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        shapes[value.name] = tuple(one.dim_value for one in value.type.tensor_type.shape.dim)
    weights = sum(
        int(entry.value)
        for one in graph.initializer
        if one.data_location == TensorProto.EXTERNAL
        for entry in one.external_data
        if entry.key == "length"
    )
    return Counts(weights, sum(_operations(node, shapes) for node in graph.node))


def _operations(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Of one node; a multiplication and an addition are two."""
    if node.op_type == "MatMul":
        left, right = (shapes[name] for name in node.input)
        return 2 * prod(left) * right[-1]
    if node.op_type == "Attention":
        # The cache's part that the mask speaks of has no shape to ONNX, but the mask has.
        keys = shapes[node.input[3]][-1] if len(node.input) > 3 else shapes[node.input[1]][-2]
        return 4 * prod(shapes[node.input[0]]) * keys
    if node.op_type == "MoE":  # each token goes through `k` experts
        chosen = next(one.i for one in node.attribute if one.name == "k")
        tokens = prod(shapes[node.input[0]][:-1])
        return 2 * tokens * chosen * sum(prod(shapes[node.input[i]][1:]) for i in (2, 4))
    return 0
