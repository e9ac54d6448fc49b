# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Counts what a graph takes, node by node: the independent truth that `molmo_ros/engine/cost` is held against.

    python -m benchmarks.graph_counts

Of every model of the reference vectors, and of the embedded one in every precision: bytes of weights and operations of
products in the canonical ONNX graphs, and where TensorRT for RTX is installed in the networks that its parser makes of
them, beside what the formulas say.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, shape_inference

from benchmarks.rounded_parameters import RoundedParameters
from molmo_ros.engine.cost.pass_cost import decoder_pass, vision_pass
from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.graphs.export import DECODER, VISION, export_graphs
from molmo_ros.engine.quantisation.formats import QUANTISED
from molmo_ros.engine.tensorrt.guards import native_attentions
from molmo_ros.engine.tensorrt.lowering import lower_file
from molmo_ros.engine.tensorrt.module import load_tensorrt
from molmo_ros.engine.tensorrt.process_runtime import process_log
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.weights.stored_parameters import StoredParameters

VECTORS = Path(__file__).parents[1] / "test" / "vectors"
CONTEXT = 64
SIZES = {
    VISION: {"views": 3, "crops": 3, "tokens": 5, "slots": 4},
    DECODER: {"q": 7, "k": 11, "n": 2},
}
"""Of the dynamic dimensions, by graph."""
BITS = {"FLOAT": 32, "HALF": 16, "BF16": 16, "INT8": 8, "FP8": 8, "INT4": 4, "FP4": 4}
"""Of TensorRT's types that weights have."""


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


def parse(trt: ModuleType, graph: Path) -> tuple[Any, tuple[Any, ...]]:
    """The network that TensorRT's parser makes of a canonical graph, and what has to live as long.

    Raises:
        EngineError: It does not take the graph.
    """
    lowered = graph.with_name(f".{graph.stem}.counted.onnx")
    lower_file(graph, lowered, "native")
    logger = process_log(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(lowered)):
        raise EngineError(f"TensorRT does not take {graph.name}: {parser.get_error(0)}")
    return network, (logger, builder, parser)


def count_parsed(trt: ModuleType, network: Any, sizes: Mapping[str, int]) -> Counts:
    """Counts a network of TensorRT's.

    Args:
        trt: The TensorRT module.
        network: What its parser made of a lowered graph.
        sizes: Of the dynamic dimensions of its inputs, by the names that the graph has for them.
    """
    for number in range(network.num_inputs):
        one = network.get_input(number)
        names = (one.get_dimension_name(axis) for axis in range(len(one.shape)))
        one.shape = [sizes[name] if name else size for name, size in zip(names, one.shape, strict=True)]
    weights = operations = 0
    for number in range(network.num_layers):
        layer = network.get_layer(number)
        kind = str(layer.type).rsplit(".", 1)[-1]
        if kind == "MATRIX_MULTIPLY":
            layer.__class__ = trt.IMatrixMultiplyLayer
            left, out = layer.get_input(0).shape, layer.get_output(0).shape
            inner = left[-2] if layer.op0 == trt.MatrixOperation.TRANSPOSE else left[-1]
            operations += 2 * prod(out) * inner
        elif kind == "CONSTANT":
            out = layer.get_output(0)
            if len(out.shape) and out.dtype.name in BITS:  # numbers and shapes are no weights
                weights += prod(out.shape) * BITS[out.dtype.name] // 8
    for attention in native_attentions(trt, network):
        query, key = attention.get_input(0).shape, attention.get_input(1).shape
        keys = attention.mask.shape[-1] if attention.mask is not None else key[-2]
        operations += 4 * prod(query) * keys
    return Counts(weights, operations)


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


def formulas(stored: StoredParameters, precision: str) -> dict[str, Counts]:
    """What `pass_cost` says of both graphs, the decoder's rotary tables added."""
    config, decoder = stored.config, stored.config.decoder
    sizes = SIZES[DECODER]
    vision = vision_pass(config, precision, SIZES[VISION]["views"], SIZES[VISION]["tokens"])
    one = decoder_pass(config, precision, sizes["q"], sizes["k"], sizes["n"])
    whole = decoder_pass(config, precision, max(decoder.experts, 1), sizes["k"])
    tables = 4 * CONTEXT * decoder.head_dim * (1 if decoder.rope_scaling is None else 2)
    return {
        VISION: Counts(int(vision.weights), int(sum(vision.operations.values()))),
        DECODER: Counts(int(whole.weights + tables), int(sum(one.operations.values()))),
    }


def export(stored: StoredParameters, precision: str, folder: Path) -> None:
    """Both graphs, with the nearest values of few bits."""
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16

    def read(name: str) -> torch.Tensor:
        return stored.read(name, torch.float32)

    config, few = stored.config, precision in QUANTISED
    quantised = RoundedParameters(config.decoder, precision, dtype, read) if few else None
    export_graphs(folder, config, CONTEXT, dtype, read, quantised=quantised)


def cases() -> Iterator[tuple[Path, str]]:
    """Folders of models, with a precision."""
    for path in sorted(VECTORS.glob("*/config.json")):
        yield path.parent, "bf16"
    for precision in ("fp32", *QUANTISED):
        yield EMBEDDED / "tiny", precision


def main() -> None:
    try:
        trt = load_tensorrt("tensorrt_rtx")
    except EngineError as error:
        trt = None
        print(f"without a parser: {error}\n")
    print(
        "| model | precision | graph | formula: bytes, operations | ONNX | TensorRT's parser |\n"
        + "|---" * 6
        + "|"
    )
    for folder, precision in cases():
        stored = StoredParameters(folder)
        with tempfile.TemporaryDirectory() as name:
            export(stored, precision, Path(name))
            for graph, formula in formulas(stored, precision).items():
                model = onnx.load(str(Path(name) / graph), load_external_data=False)
                found = [formula, count_onnx(model, SIZES[graph])]
                if trt is not None:
                    network, _alive = parse(trt, Path(name) / graph)
                    found.append(count_parsed(trt, network, SIZES[graph]))
                cells = [f"{one.weights:,}, {one.operations:,}" for one in found]
                print(f"| {folder.name} | {precision} | {graph} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
