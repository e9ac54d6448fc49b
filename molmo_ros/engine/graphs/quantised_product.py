# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A linear layer with a quantised weight, as the ONNX nodes that onnxruntime and TensorRT both take.

The weight is a DequantizeLinear of the stored values, and so are the inputs where a format rounds them; TensorRT
fuses both into one product of few bits. onnxruntime's CPU provider has no E2M1: nvfp4 is for TensorRT only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from onnx import TensorProto
from torch import Tensor

from molmo_ros.engine.graphs.graph_writer import DTYPES, GraphWriter, Weight
from molmo_ros.engine.quantisation.formats import Format
from molmo_ros.engine.quantisation.four_bits import pack, unpack
from molmo_ros.engine.quantisation.quantised_linear import QuantisedLinear, QuantisedWeights

VALUE_TYPES = {
    "int8": TensorProto.INT8,
    "int4": TensorProto.INT4,
    "fp8": TensorProto.FLOAT8E4M3FN,
    "nvfp4": TensorProto.FLOAT4E2M1,
}


def quantised_product(
    graph: GraphWriter, x: str, name: str, inputs: int, outputs: int, quantised: QuantisedWeights
) -> str:
    """x @ weight.T, of the quantised layer `name`.

    Args:
        graph: Where the nodes go.
        x: [..., inputs].
        name: Of a layer that `quantised` has.
        inputs: How many.
        outputs: How many.
        quantised: Where the weight comes from.
    """
    form = quantised.formats[name]
    stored = _Stored(graph, name, form, (inputs, outputs), lambda: quantised.linear(name))
    return graph.node("MatMul", stored.rounded(x), stored.matrix())


class _Stored:
    """The initializers of one layer, and what dequantises them."""

    def __init__(
        self,
        graph: GraphWriter,
        name: str,
        form: Format,
        shape: tuple[int, int],
        read: Callable[[], QuantisedLinear],
    ) -> None:
        self.graph, self.name, self.format, self.shape, self.read = graph, name, form, shape, read

    def rounded(self, x: str) -> str:
        """The inputs as the product sees them."""
        if not self.format.quantises_inputs:
            return x
        graph = self.graph
        scale = self._weight(
            "input_scale", (), graph.type, lambda: _present(self.read().input_scale).to(graph.dtype)
        )
        zero = graph.tensor(torch.zeros((), dtype=_torch_type(self.format), device="cpu"))
        return graph.node("DequantizeLinear", graph.node("QuantizeLinear", x, scale, zero), scale, zero)

    def matrix(self) -> str:
        """The weight as MatMul takes it: [inputs, outputs], in the graph's dtype."""
        graph, form = self.graph, self.format
        values = self._weight("values", self.shape, VALUE_TYPES[form.name], lambda: _transposed(self.read()))
        if form.group is None:
            scales = self._weight(
                "scales", self.shape[1:], graph.type, lambda: self.read().scales[:, 0].to(graph.dtype)
            )
            return graph.node("DequantizeLinear", values, scales, axis=1)
        scales = self._block_scales(form.group)
        return graph.node("DequantizeLinear", values, scales, axis=0, block_size=form.group)

    def _block_scales(self, group: int) -> str:
        """[inputs / group, outputs] in the graph's dtype."""
        graph, shape = self.graph, (self.shape[0] // group, self.shape[1])
        if self.format.name != "nvfp4":
            return self._weight("scales", shape, graph.type, lambda: self.read().scales.to(graph.dtype).t())
        scales = self._weight("scales", shape, TensorProto.FLOAT8E4M3FN, lambda: self.read().scales.t())
        # In float32: it is smaller than what float16 can tell from 0.
        whole = self._weight(
            "global_scale", (), TensorProto.FLOAT, lambda: _present(self.read().global_scale)
        )
        wide = graph.node("DequantizeLinear", scales, whole)
        return wide if graph.dtype == torch.float32 else graph.cast(wide, graph.dtype)

    def _weight(self, part: str, shape: tuple[int, ...], onnx_type: int, read: Callable[[], Tensor]) -> str:
        return self.graph.weight(Weight(f"{self.name}.{part}", shape, onnx_type, read))


def _torch_type(form: Format) -> torch.dtype:
    """Of rounded inputs."""
    return next(one for one, onnx_type in DTYPES.items() if onnx_type == VALUE_TYPES[form.name])


def _transposed(linear: QuantisedLinear) -> Tensor:
    """The values [inputs, outputs], four-bit ones packed in that order."""
    if not linear.format.packed:
        return linear.values.t()
    return pack(unpack(linear.values).t().flatten())


def _present(scale: Tensor | None) -> Tensor:
    assert scale is not None, "the format has this scale"
    return scale
