# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What goes wrong between a graph and TensorRT's network of it, and who sees it.

    python -m benchmarks.network_mutations

The embedded model's decoder is changed as a parser, or a lowering, might misread it; TensorRT for RTX parses it. The
guards of every build (`engine/tensorrt/guards.py`) look at the network with the right graph in mind; the check of the
parsed network (`engine/network_check.py`) computes it and holds it against torch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import torch
from onnx import NodeProto, helper, numpy_helper

from benchmarks.rounded_parameters import RoundedParameters
from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.graphs.export import DECODER, VISION, export_graphs
from molmo_ros.engine.network_check import CheckedGraphs, check_networks
from molmo_ros.engine.quantisation.decoder_prompts import Example
from molmo_ros.engine.tensorrt.builder import lowered_path
from molmo_ros.engine.tensorrt.guards import Expected, check_network
from molmo_ros.engine.tensorrt.lowering import lower_to_native
from molmo_ros.engine.tensorrt.module import load_tensorrt
from molmo_ros.engine.tensorrt.parsed.parser import parse_lowered
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.weights.stored_parameters import StoredParameters

CHECKPOINT, CONTEXT = EMBEDDED / "tiny", 1024
Nodes = list[NodeProto]


def _first(nodes: Nodes, op: str) -> NodeProto:
    return next(node for node in nodes if node.op_type == op)


def _set(node: NodeProto, name: str, value: float | int) -> None:
    kept = [one for one in node.attribute if one.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def _insert(model: onnx.ModelProto, before: NodeProto, op: str, *inputs: str, **attributes: object) -> str:
    """A node before another; returns its output."""
    nodes = model.graph.node
    place = next(number for number, node in enumerate(nodes) if node.name == before.name)
    name = f"{before.name}/changed_{place}"
    nodes.insert(place, helper.make_node(op, list(inputs), [name], name=name, **attributes))
    return name


def _constant(model: onnx.ModelProto, value: np.ndarray) -> str:
    name = f"changed_{len(model.graph.initializer)}"
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _nothing(model: onnx.ModelProto) -> None:
    """The graph as it is."""


def _mask_dropped(model: onnx.ModelProto) -> None:
    del _first(list(model.graph.node), "Attention").input[3:]


def _upper_left(model: onnx.ModelProto) -> None:
    _mask_dropped(model)
    _set(_first(list(model.graph.node), "Attention"), "is_causal", 1)


def _lengths_dropped(model: onnx.ModelProto) -> None:
    """The known trap: lengths instead of masks, which the parser drops."""
    model.graph.input.append(helper.make_tensor_value_info("kv_length", onnx.TensorProto.INT64, [1]))
    for node in model.graph.node:
        if node.op_type == "Attention":
            node.input[:] = [*node.input[:3], "", "", "", "kv_length"]
            _set(node, "is_causal", 1)


def _interleaved(model: onnx.ModelProto) -> None:
    _set(_first(list(model.graph.node), "RotaryEmbedding"), "interleaved", 1)


def _epsilon(model: onnx.ModelProto) -> None:
    _set(_first(list(model.graph.node), "RMSNormalization"), "epsilon", 1e-2)


def _wrong_groups(model: onnx.ModelProto) -> None:
    """Heads of queries look at another group's head of keys and values."""
    attention = _first(list(model.graph.node), "Attention")
    order = _constant(model, np.array([1, 0], np.int64))
    for place in (1, 2):
        name = _insert(model, attention, "Gather", attention.input[place], order, axis=1)
        attention.input[place] = name


def _one_slot_off(model: onnx.ModelProto) -> None:
    update = _first(list(model.graph.node), "TensorScatter")
    one = _constant(model, np.array([1], np.int64))
    update.input[2] = _insert(model, update, "Add", update.input[2], one)


def _keys_for_values(model: onnx.ModelProto) -> None:
    attention = _first(list(model.graph.node), "Attention")
    attention.input[2] = attention.input[1]


def _swapped_caches(model: onnx.ModelProto) -> None:
    keys = [node for node in model.graph.node if node.op_type == "TensorScatter"][::2][:2]
    keys[0].input[0], keys[1].input[0] = keys[1].input[0], keys[0].input[0]


def _scale_transposed(model: onnx.ModelProto) -> None:
    """The scales of blocks, [groups, outputs], read in the order of [outputs, groups]."""
    node = _first(list(model.graph.node), "DequantizeLinear")
    scales = next(one for one in model.graph.initializer if one.name == node.input[1])
    sideways = _insert(
        model, node, "Reshape", node.input[1], _constant(model, np.array(scales.dims[::-1], np.int64))
    )
    node.input[1] = _insert(model, node, "Transpose", sideways, perm=[1, 0])


@dataclass(frozen=True)
class Mutation:
    """Something that goes wrong.

    Attributes:
        name: For people.
        change: Makes it happen to a canonical graph.
        quantised: Whether the decoder has four-bit weights.
    """

    name: str
    change: Callable[[onnx.ModelProto], None]
    quantised: bool = False


NOTHING = Mutation("nothing", _nothing)
NOTHING_QUANTISED = Mutation("nothing, four-bit weights", _nothing, quantised=True)
MUTATIONS = (
    Mutation("a mask dropped", _mask_dropped),
    Mutation("causal, upper-left, for a mask", _upper_left),
    Mutation("lengths for masks, and dropped", _lengths_dropped),
    Mutation("two layers' caches swapped", _swapped_caches),
    Mutation("rotation of interleaved pairs", _interleaved),
    Mutation("epsilon 1e-2 in a norm", _epsilon),
    Mutation("heads grouped wrongly", _wrong_groups),
    Mutation("a cache written one slot off", _one_slot_off),
    Mutation("keys for values", _keys_for_values),
    Mutation("a scale transposed", _scale_transposed, quantised=True),
)


class MutationBench:
    """The embedded model's graphs, plain and with four-bit weights."""

    def __init__(self, folder: Path, trt: ModuleType, examples: Sequence[Example]) -> None:
        """Exports.

        Args:
            folder: Where the graphs go.
            trt: The TensorRT module.
            examples: What is asked.
        """
        self.trt, self.examples = trt, examples
        stored = StoredParameters(CHECKPOINT)
        self._quantised = RoundedParameters(stored.config.decoder, "int4", torch.float32, self._read(stored))
        self._folders = {False: folder / "plain", True: folder / "int4"}
        for few, into in self._folders.items():
            into.mkdir(exist_ok=True)
            export_graphs(
                into,
                stored.config,
                CONTEXT,
                torch.float32,
                self._read(stored),
                quantised=self._quantised if few else None,
            )

    def seen_by(self, mutation: Mutation) -> dict[str, str]:
        """What the guards and the check say about it; empty where they say nothing."""
        folder = self._folders[mutation.quantised]
        graph = folder / DECODER
        right = graph.read_bytes()
        try:
            model = onnx.load_from_string(right)
            meant = Expected.of(lower_to_native(model))
            mutation.change(model)
            graph.write_bytes(model.SerializeToString())
            return {"guards": self._guards(graph, model, meant), "check": self._check(mutation, folder)}
        finally:
            graph.write_bytes(right)

    def vision_seen(self, op: str) -> str:
        """What the check says where the tower's first layer of a kind gets something else than it should."""
        graph = self._folders[False] / VISION
        right = graph.read_bytes()
        try:
            model = onnx.load_from_string(right)
            node = _first(list(model.graph.node), op)
            half = _constant(model, np.array([[[0.5]]] if op != "Attention" else [[[[0.5]]]], np.float32))
            node.input[0] = _insert(model, node, "Add", node.input[0], half)
            graph.write_bytes(model.SerializeToString())
            return self._check(NOTHING, graph.parent)
        finally:
            graph.write_bytes(right)

    def _guards(self, graph: Path, model: onnx.ModelProto, meant: Expected) -> str:
        lowered = lowered_path(graph)
        lowered.write_bytes(lower_to_native(model).SerializeToString())
        try:
            check_network(self.trt, parse_lowered(self.trt, lowered).definition, meant)
        except EngineError as error:
            return str(error)
        finally:
            lowered.unlink()
        return ""

    def _check(self, mutation: Mutation, folder: Path) -> str:
        quantised = self._quantised if mutation.quantised else None
        checked = CheckedGraphs(
            self.trt, {VISION: "native", DECODER: "native"}, folder, CONTEXT, torch.float32, quantised
        )
        try:
            check_networks(checked, CHECKPOINT, self.examples)
        except EngineError as error:
            return str(error)
        return ""

    @staticmethod
    def _read(stored: StoredParameters) -> Callable[[str], torch.Tensor]:
        return lambda name: stored.read(name, torch.float32)


def main() -> None:
    from molmo_ros.train.examples import simulated_questions

    torch.set_num_threads(1)
    examples = [Example(image, query) for image, query in simulated_questions(3)[:1]]
    print("| what goes wrong | guards of the build | the computed network |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as made:
        bench = MutationBench(Path(made), load_tensorrt("tensorrt_rtx"), examples)
        for mutation in (NOTHING, NOTHING_QUANTISED, *MUTATIONS):
            seen = bench.seen_by(mutation)
            check = seen["check"].rpartition("is not the model: ")[2]
            words = [seen["guards"].partition(" in the parsed network")[0][:60], check[:70]]
            print(f"| {mutation.name} | {' | '.join(one or 'silent' for one in words)} |", flush=True)


if __name__ == "__main__":
    main()
