# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From the canonical graphs to what a TensorRT has layers for. Weights stay where they are: only nodes change.

TensorRT 10.15 and later, and TensorRT for RTX, take the canonical graphs nearly as they are and make native layers of
TensorScatter (KV-cache update), Attention and RotaryEmbedding; only mixtures of experts are written out. TensorRT 10.3
(JetPack 6) has none of these layers; for it they too are written out, in operators of opset 20, with the softmax, norms
and rotations in float32 as before.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

LEGACY_OPSET, INT4_OPSET = 20, 21
"""Blocks of quantised weights came with opset 21."""
LEGACY_IR = 10
LACKING = {"MoE"}
"""Operators that no TensorRT's parser takes."""
LACKING_IN_LEGACY = LACKING | {"TensorScatter", "Attention", "RotaryEmbedding", "RMSNormalization", "Gelu"}
FLOAT = TensorProto.FLOAT


def lower_file(source: Path, target: Path, lowering: str) -> onnx.ModelProto:
    """Writes the lowered graph of `source` as `target`, in the same folder; returns it, without its weights.

    Args:
        source: A canonical graph.
        target: Where the lowered one goes; it refers to the same file of weights.
        lowering: "native" or "legacy", see `targets.Target.lowering`.
    """
    model = onnx.load(str(source), load_external_data=False)
    model = lower_to_legacy(model) if lowering == "legacy" else lower_to_native(model)
    target.write_bytes(model.SerializeToString())
    return model


def lower_to_native(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function without mixtures of experts, for TensorRT 10.15 and later."""
    return _written_out(model, LACKING)


def lower_to_legacy(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function without layers of language models, for TensorRT 10.3."""
    lowered = _written_out(model, LACKING_IN_LEGACY)
    blocks = any(node.op_type == "DequantizeLinear" for node in lowered.graph.node)
    lowered.opset_import[0].version = INT4_OPSET if blocks else LEGACY_OPSET
    lowered.ir_version = LEGACY_IR
    return lowered


def _written_out(model: onnx.ModelProto, lacking: Set[str]) -> onnx.ModelProto:
    """The same function in ONNX's own operators but for those that are lacking."""
    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    del lowered.graph.node[:]
    lowered.graph.node.extend(_WrittenOut(model, lacking).nodes())
    del lowered.opset_import[1:]
    return lowered


class _WrittenOut:
    """The nodes of a graph, one after the other, with those that are lacking written out."""

    def __init__(self, model: onnx.ModelProto, lacking: Set[str]) -> None:
        self._graph, self._lacking = model.graph, lacking
        # The first input of either graph has the graph's floating-point type; patches of 8 bits leave it to the output.
        first = model.graph.input[0]
        if first.type.tensor_type.elem_type == TensorProto.UINT8:
            first = model.graph.output[0]
        self._type = first.type.tensor_type.elem_type
        self._nodes: list[NodeProto] = []
        self._name = ""
        self._write_out: dict[str, Callable[[NodeProto], str]] = {
            "MoE": self._mixture_of_experts,
            "TensorScatter": self._tensor_scatter,
            "Attention": self._attention,
            "RotaryEmbedding": self._rotary_embedding,
            "RMSNormalization": self._rms_normalization,
            "Gelu": self._gelu,
        }

    def nodes(self) -> list[NodeProto]:
        """All nodes, in order."""
        for node in self._graph.node:
            if node.op_type not in self._lacking:
                self._nodes.append(node)
                continue
            self._name = node.name
            result = self._write_out[node.op_type](node)
            # The last node made the result: it gets the name that others know it by.
            assert self._nodes[-1].output[0] == result
            self._nodes[-1].output[0] = node.output[0]
        return self._nodes

    def _mixture_of_experts(self, node: NodeProto) -> str:
        """As many experts as can be in use, k for each token, work on all tokens; not chosen by a token, they count 0.

        So a decoded token reads k experts' weights, and shapes do not depend on which: CUDA graphs need that.
        """
        x, scores, gate_up, _, down = node.input
        k = self._integers(_attribute(node, "k").i)
        probabilities = self._add("Softmax", self._float32(scores), axis=-1)  # [q, experts]
        highest, chosen = self._add_several("TopK", 2, probabilities, k, axis=-1)
        none = self._add("Mul", probabilities, self._constant(np.array(0, np.float32)))
        shares = self._add("ScatterElements", none, chosen, highest, axis=-1)
        count = self._add("Min", self._add("Mul", self._size(scores, 0), k), self._size(scores, 1))
        largest = self._add("ReduceMax", shares, self._integers(0), keepdims=0)
        used = self._add_several("TopK", 2, largest, count, axis=0)[1]  # [used]
        pairs = self._add("MatMul", x, self._transposed(gate_up, used))  # [used, q, 2 * mlp_width]
        pairs = self._add("Reshape", pairs, self._integers(0, 0, -1, 2))
        gate, up = (self._add("Gather", pairs, self._integer(which), axis=-1) for which in (0, 1))
        inner = self._add("Mul", self._add("Mul", gate, self._add("Sigmoid", gate)), up)
        outputs = self._add("MatMul", inner, self._transposed(down, used))  # [used, q, width]
        by_expert = self._add("Transpose", self._add("Gather", shares, used, axis=-1), perm=[1, 0])
        weights = self._add("Unsqueeze", self._narrow(by_expert), self._integers(-1))  # [used, q, 1]
        return self._add("ReduceSum", self._add("Mul", outputs, weights), self._integers(0), keepdims=1)

    def _transposed(self, matrices: str, which: str) -> str:
        """Some of the matrices [count, outputs, inputs] as MatMul takes them."""
        return self._add("Transpose", self._add("Gather", matrices, which, axis=0), perm=[0, 2, 1])

    def _tensor_scatter(self, node: NodeProto) -> str:
        """past with the update written at slots write_index, write_index + 1, ... of axis 2."""
        past, update, index = node.input
        count = self._add("Squeeze", self._size(update, 2), self._integers(0))
        steps = self._add("Range", self._integer(0), count, self._integer(1))
        slots = self._add("Add", steps, index)
        slots = self._add("Reshape", slots, self._integers(1, 1, -1, 1))
        return self._add(
            "ScatterElements", past, self._add("Expand", slots, self._add("Shape", update)), update, axis=2
        )

    def _attention(self, node: NodeProto) -> str:
        """softmax(query @ key.T * scale) @ value; heads of one group are folded into the rows of their key's head."""
        query, key, value, mask = [*node.input, ""][:4]
        heads = self._join(self._size(query, 0), self._size(key, 1), self._integers(-1), self._size(query, 3))
        rows = self._add("Reshape", self._add("Mul", query, self._scalar(_attribute(node, "scale").f)), heads)
        folded = self._add("MatMul", rows, self._add("Transpose", key, perm=[0, 1, 3, 2]))
        apart = self._join(self._add("Shape", query, start=0, end=3), self._size(key, 2))
        scores = self._float32(self._add("Reshape", folded, apart))
        if mask:
            scores = self._add("Where", mask, scores, self._constant(np.array(-np.inf, np.float32)))
        weights = self._narrow(self._add("Softmax", scores, axis=-1))
        mixed = self._add("MatMul", self._add("Reshape", weights, self._add("Shape", folded)), value)
        return self._add("Reshape", mixed, self._add("Shape", query))

    def _rotary_embedding(self, node: NodeProto) -> str:
        """Both halves of each head turned by the angle of the token's position; all in float32 already."""
        x, cosines, sines, positions = node.input
        heads = self._integers(1)
        cosine = self._add("Unsqueeze", self._add("Gather", cosines, positions, axis=0), heads)
        sine = self._add("Unsqueeze", self._add("Gather", sines, positions, axis=0), heads)
        first, second = self._add_several("Split", 2, x, axis=-1, num_outputs=2)
        turned = (
            self._add("Sub", self._add("Mul", first, cosine), self._add("Mul", second, sine)),
            self._add("Add", self._add("Mul", second, cosine), self._add("Mul", first, sine)),
        )
        return self._add("Concat", *turned, axis=-1)

    def _rms_normalization(self, node: NodeProto) -> str:
        """x / sqrt(mean(x^2) + eps) in float32, cast back, times the weight."""
        x, weight = node.input
        wide = self._float32(x)
        mean = self._add("ReduceMean", self._add("Mul", wide, wide), self._integers(-1), keepdims=1)
        eps = self._constant(np.array(_attribute(node, "epsilon").f, np.float32))
        root = self._add("Sqrt", self._add("Add", mean, eps))
        return self._add("Mul", self._narrow(self._add("Div", wide, root)), weight)

    def _gelu(self, node: NodeProto) -> str:
        """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
        (x,) = node.input
        cube = self._add("Mul", self._add("Mul", x, x), x)
        inner = self._add("Add", x, self._add("Mul", cube, self._scalar(0.044715)))
        tanh = self._add("Tanh", self._add("Mul", inner, self._scalar(float(np.sqrt(2 / np.pi)))))
        half = self._add("Mul", x, self._scalar(0.5))
        return self._add("Mul", half, self._add("Add", tanh, self._scalar(1.0)))

    def _float32(self, value: str) -> str:
        return value if self._type == FLOAT else self._add("Cast", value, to=FLOAT)

    def _narrow(self, value: str) -> str:
        return value if self._type == FLOAT else self._add("Cast", value, to=self._type)

    def _size(self, value: str, axis: int) -> str:
        return self._add("Shape", value, start=axis, end=axis + 1)

    def _join(self, *sizes: str) -> str:
        return self._add("Concat", *sizes, axis=0)

    def _integers(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def _integer(self, value: int) -> str:
        return self._constant(np.array(value, np.int64))

    def _scalar(self, value: float) -> str:
        """A constant of the graph's own type."""
        wide = numpy_helper.from_array(np.array(value, np.float32))
        if self._type == FLOAT:
            return self._add("Constant", value=wide)
        return self._add("Cast", self._add("Constant", value=wide), to=self._type)

    def _constant(self, array: np.ndarray) -> str:
        return self._add("Constant", value=numpy_helper.from_array(array))

    def _add(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self._add_several(op, 1, *inputs, **attributes)[0]

    def _add_several(self, op: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        name = f"{self._name}/{op}_{len(self._nodes)}"
        names = [f"{name}:{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, name=name, **attributes))
        return names


def _attribute(node: NodeProto, name: str) -> onnx.AttributeProto:
    return next(one for one in node.attribute if one.name == name)
