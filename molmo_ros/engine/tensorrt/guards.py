# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Checks of a parsed network against the graph it came from, run in every build.

TensorRT's parser has been seen to drop an input of an attention and go on: the engine builds, and is wrong. So what
was parsed is read back and compared with what was meant.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import onnx

from molmo_ros.engine.errors import EngineError


@dataclass(frozen=True)
class Expected:
    """What a network must have.

    Attributes:
        inputs, outputs: Names.
        attentions: For each native attention, in order, whether it has a mask.
        cache_updates: How many native updates of a KV cache.
        rotations: How many native rotary embeddings.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attentions: tuple[bool, ...]
    cache_updates: int
    rotations: int

    @classmethod
    def of(cls, model: onnx.ModelProto) -> Expected:
        """What the graph means.

        Raises:
            EngineError: It uses what no attention of ours has: causal masks, or lengths.
        """
        counts = Counter(node.op_type for node in model.graph.node)
        attentions = [node for node in model.graph.node if node.op_type == "Attention"]
        for node in attentions:
            causal = any(one.name == "is_causal" and one.i for one in node.attribute)
            if causal or any(node.input[4:]):
                raise EngineError(
                    f"attention {node.name} is causal or has lengths or a cache of its own; TensorRT's parser drops "
                    "these without a word. Give it a mask"
                )
        return cls(
            tuple(one.name for one in model.graph.input),
            tuple(one.name for one in model.graph.output),
            tuple(len(node.input) > 3 and bool(node.input[3]) for node in attentions),
            counts["TensorScatter"],
            counts["RotaryEmbedding"],
        )


def check_network(trt: ModuleType, network: Any, expected: Expected) -> None:
    """Compares a parsed network with what was meant.

    Args:
        trt: The TensorRT module.
        network: What its parser made.
        expected: Of the graph that was parsed.

    Raises:
        EngineError: Names the input or the layer that is not as meant.
    """
    layers = [network.get_layer(number) for number in range(network.num_layers)]
    _check_names("inputs", expected.inputs, [network.get_input(i).name for i in range(network.num_inputs)])
    _check_names(
        "outputs", expected.outputs, [network.get_output(i).name for i in range(network.num_outputs)]
    )
    used = {
        layer.get_input(i).name for layer in layers for i in range(layer.num_inputs) if layer.get_input(i)
    }
    attentions = native_attentions(trt, network)
    used |= {attention.mask.name for attention in attentions if attention.mask is not None}
    if unused := [name for name in expected.inputs if name not in used]:
        raise EngineError(f"no layer of the parsed network uses the inputs {', '.join(unused)}")
    kinds = Counter(map(_kind, layers))
    for what, kind, wanted in (
        ("KV-cache updates", "KV_CACHE_UPDATE", expected.cache_updates),
        ("rotary embeddings", "ROTARY_EMBEDDING", expected.rotations),
        ("attentions", "ATTENTION_INPUT", len(expected.attentions)),
    ):
        if kinds[kind] != wanted:
            raise EngineError(f"the parsed network has {kinds[kind]} {what}; {wanted} were meant")
    _check_caches(layers, expected)
    for attention, masked in zip(attentions, expected.attentions, strict=True):
        _check_attention(trt, attention, masked)


def _check_caches(layers: list[Any], expected: Expected) -> None:
    """Every native update writes the output that belongs to its input, since the two are one memory."""
    for layer in layers:
        if _kind(layer) != "KV_CACHE_UPDATE":
            continue
        past, present = layer.get_input(0).name, layer.get_output(0).name
        if past.replace("past_", "present_", 1) != present or past not in expected.inputs:
            raise EngineError(f"the parsed network updates {past} into {present}, which is not its own cache")


def _check_attention(trt: ModuleType, attention: Any, masked: bool) -> None:
    """A mask exactly where one was meant, and nothing else that hides keys."""
    has = {"a mask": attention.mask is not None}
    meant = {"a mask": masked}
    if hasattr(trt, "CausalMaskKind"):
        has["a causal mask"] = attention.causal_kind != trt.CausalMaskKind.NONE
    else:
        has["a causal mask"] = bool(attention.causal)
    has["lengths"] = getattr(attention, "key_value_lengths", None) is not None
    for what, found in has.items():
        if found != meant.get(what, False):
            raise EngineError(
                f"attention {attention.name or attention.metadata} has {what if found else 'no ' + what[2:]} in the "
                f"parsed network; {'one' if meant.get(what) else 'none'} was meant"
            )


def native_attentions(trt: ModuleType, network: Any) -> list[Any]:
    """All attentions of a network, in order."""
    attentions = []
    for number in range(network.num_layers):
        layer = network.get_layer(number)
        if _kind(layer) == "ATTENTION_INPUT":
            # The bindings return the base class, which does not know its attention.
            layer.__class__ = trt.IAttentionInputLayer
            attentions.append(layer.attention)
    return attentions


def _kind(layer: Any) -> str:
    return str(layer.type).rsplit(".", 1)[-1]


def _check_names(what: str, expected: tuple[str, ...], found: list[str]) -> None:
    if sorted(expected) != sorted(found):
        missing, more = set(expected) - set(found), set(found) - set(expected)
        raise EngineError(
            f"the parsed network's {what} differ: missing {sorted(missing)}, unknown {sorted(more)}"
        )
