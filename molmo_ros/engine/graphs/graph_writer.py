# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An ONNX graph under construction: nodes, small constants, and weights that are written one at a time.

Weights never meet in memory: the graph names them, `save` asks for them one after the other and writes each to the
external data file, so that exporting needs the memory of the largest one.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from molmo_ros.engine.quantisation.quantised_linear import QuantisedWeights, ReadParameter

OPSET = 24
IR_VERSION = 11
ALIGNMENT = 4096
"""Weights begin at multiples of this in their file, so that they can be mapped."""

DTYPES = {
    torch.float32: TensorProto.FLOAT,
    torch.float16: TensorProto.FLOAT16,
    torch.bfloat16: TensorProto.BFLOAT16,
    torch.int8: TensorProto.INT8,
    torch.uint8: TensorProto.UINT8,
    torch.int64: TensorProto.INT64,
    torch.bool: TensorProto.BOOL,
    torch.float8_e4m3fn: TensorProto.FLOAT8E4M3FN,
}
"""ONNX's name of each torch dtype. Four-bit types have none in torch, see `Weight.onnx_type`."""

Dim = int | str
"""A size, or the name of a dynamic one."""
"""A parameter, by the name that `MolmoModel` has for it."""


@dataclass(frozen=True)
class Weight:
    """A weight of the graph, not yet read.

    Attributes:
        name: The name in the graph.
        shape: The shape in the graph.
        onnx_type: Its element type in the graph.
        read: Makes its values, in the graph's shape and a torch dtype of the same size; of four-bit types
            already packed, uint8 [values / 2].
    """

    name: str
    shape: tuple[int, ...]
    onnx_type: int
    read: Callable[[], Tensor]


@dataclass(frozen=True)
class GraphInMemory:
    """A graph that is in no file.

    Attributes:
        model: The serialised graph.
        location: What it calls the file of its weights.
        weights: The content of that.
    """

    model: bytes
    location: str
    weights: memoryview


class GraphWriter:
    """One graph.

    Attributes:
        dtype: What its floating-point values are.
        quantised: The linear layers that have quantised weights; None: none has.
    """

    def __init__(
        self, name: str, dtype: torch.dtype, read: ReadParameter, quantised: QuantisedWeights | None = None
    ) -> None:
        """Starts an empty graph.

        Args:
            name: Of the graph.
            dtype: float32, float16 or bfloat16.
            read: Where parameters come from, in any floating-point dtype; called during `save`.
            quantised: Where quantised weights come from, likewise.
        """
        self.name, self.dtype, self.read, self.quantised = name, dtype, read, quantised
        self.type = DTYPES[dtype]
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._weights: dict[str, Weight] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._scope = ""

    def input(self, name: str, dtype: torch.dtype, shape: Sequence[Dim]) -> str:
        """Declares an input."""
        self._inputs.append(helper.make_tensor_value_info(name, DTYPES[dtype], list(shape)))
        return name

    def output(self, value: str, name: str, dtype: torch.dtype, shape: Sequence[Dim]) -> str:
        """Declares a value as an output; returns its new name, which replaces the old one everywhere.

        No node is added: a cache that is written where it lies must be the output of what writes it.
        """
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [name if one == value else one for one in names]
        self._outputs.append(helper.make_tensor_value_info(name, DTYPES[dtype], list(shape)))
        return name

    def scope(self, scope: str) -> None:
        """Sets what the names of the following nodes begin with."""
        self._scope = scope + "/"

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one output; returns that."""
        return self.nodes(op, 1, *inputs, **attributes)[0]

    def nodes(self, op: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Adds a node; returns its outputs."""
        name = f"{self._scope}{op}_{len(self._nodes)}"
        names = [f"{name}:{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, name=name, **attributes))
        return names

    def integers(self, *values: int) -> str:
        """A one-dimensional int64 constant."""
        return self.constant(np.array(values, np.int64))

    def scalar(self, value: float, dtype: torch.dtype | None = None) -> str:
        """A zero-dimensional constant of the graph's dtype, or of another."""
        return self.tensor(torch.tensor(value, dtype=dtype or self.dtype, device="cpu"))

    def constant(self, array: np.ndarray) -> str:
        """A constant that is kept in the graph itself; equal ones are kept once."""
        return self._keep(numpy_helper.from_array(np.ascontiguousarray(array)))

    def tensor(self, value: Tensor) -> str:
        """As `constant`, of a torch tensor, bfloat16 included."""
        return self._keep(
            TensorProto(data_type=DTYPES[value.dtype], dims=list(value.shape), raw_data=raw_bytes(value))
        )

    def _keep(self, proto: TensorProto) -> str:
        proto.name = ""
        key = proto.SerializeToString()
        name = f"constant_{len(self._constants)}"
        for known, other in self._constants.items():
            if other.SerializeToString() == key:
                return known
        self._constants[name] = TensorProto()
        self._constants[name].CopyFrom(proto)
        return name

    def parameter(self, name: str, shape: Sequence[int], dtype: torch.dtype | None = None) -> str:
        """A parameter as it is, in the graph's dtype or another."""
        target = dtype or self.dtype
        return self.weight(Weight(name, tuple(shape), DTYPES[target], lambda: self.read(name).to(target)))

    def matrix(self, name: str, inputs: int, outputs: int) -> str:
        """The weight of a linear layer, which torch stores [outputs, inputs], as MatMul takes it: [inputs, outputs]."""
        return self.weight(
            Weight(f"{name}.T", (inputs, outputs), self.type, lambda: self.read(name).to(self.dtype).t())
        )

    def table(self, name: str, value: Tensor) -> str:
        """A constant too large for the graph itself."""
        return self.weight(Weight(name, tuple(value.shape), DTYPES[value.dtype], lambda: value))

    def weight(self, weight: Weight) -> str:
        """A weight that goes into the external data file; one that is used twice is kept once."""
        self._weights.setdefault(weight.name, weight)
        return weight.name

    def cast(self, value: str, dtype: torch.dtype) -> str:
        """The value in another dtype; the caller knows that it has another."""
        return self.node("Cast", value, to=DTYPES[dtype])

    def save(self, path: Path, progress: Callable[[int], None] | None = None) -> None:
        """Writes `path` and, beside it, `path` with the suffix .weights.

        Both appear under their names only when they are complete.

        Args:
            path: Ends in .onnx.
            progress: Called with the number of bytes of each weight that was written.

        Raises:
            OSError: The disk is full, or the folder cannot be written to.
        """
        data = path.with_suffix(".weights")
        new_data, new_path = data.with_suffix(".weights.new"), path.with_suffix(".onnx.new")
        try:
            with new_data.open("wb") as file:
                model = self._model(file, data.name, progress)
            new_path.write_bytes(model)
            os.replace(new_data, data)
            os.replace(new_path, path)
        finally:
            new_data.unlink(missing_ok=True)
            new_path.unlink(missing_ok=True)

    def in_memory(self) -> GraphInMemory:
        """The graph and its weights, without any file."""
        weights, location = io.BytesIO(), f"{self.name}.weights"
        return GraphInMemory(self._model(weights, location, None), location, weights.getbuffer())

    def _model(self, weights: IO[bytes], location: str, progress: Callable[[int], None] | None) -> bytes:
        """Writes the weights, and returns the graph that says where in them each one is."""
        initializers = self._write_weights(weights, location, progress)
        graph = helper.make_graph(
            self._nodes, self.name, self._inputs, self._outputs, initializer=initializers
        )
        domains = {node.domain for node in self._nodes} - {""}
        model = helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)] + [helper.make_opsetid(one, 1) for one in domains],
            producer_name="molmo_ros",
        )
        return bytes(model.SerializeToString())

    def _write_weights(
        self, file: IO[bytes], location: str, progress: Callable[[int], None] | None
    ) -> list[TensorProto]:
        initializers = []
        for name, constant in self._constants.items():
            constant.name = name
            initializers.append(constant)
        for weight in self._weights.values():
            offset = -(-file.tell() // ALIGNMENT) * ALIGNMENT
            file.write(bytes(offset - file.tell()))
            length = _write(file, weight)
            if progress is not None:
                progress(length)
            proto = TensorProto(
                name=weight.name,
                data_type=weight.onnx_type,
                dims=weight.shape,
                data_location=TensorProto.EXTERNAL,
            )
            for key, value in (("location", location), ("offset", offset), ("length", length)):
                proto.external_data.add(key=key, value=str(value))
            initializers.append(proto)
        return initializers


def _write(file: IO[bytes], weight: Weight) -> int:
    """Appends a weight's values; returns their size [bytes]."""
    value = weight.read()
    if value.dtype != torch.uint8 and tuple(value.shape) != weight.shape:
        raise ValueError(f"{weight.name} has shape {tuple(value.shape)}; the graph has {weight.shape}")
    value = value.contiguous()
    file.write(value.reshape(-1).view(torch.uint8).numpy().data)
    return value.numel() * value.element_size()


def raw_bytes(value: Tensor) -> bytes:
    """The bytes of a tensor, as ONNX keeps them."""
    return value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
