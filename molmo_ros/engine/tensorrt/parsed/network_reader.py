# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads a network of TensorRT, layer by layer, attribute by attribute.

The bindings return layers as their base class; what a layer has beyond it is there once the object has its own class.
A kind or an attribute that is not in these tables is an error: what it does to the values is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.tensorrt.parsed.constant import Constant
from molmo_ros.engine.tensorrt.parsed.parsed_network import ParsedLayer, ParsedNetwork, ParsedTensor

CLASSES = {
    "ACTIVATION": "IActivationLayer",
    "ATTENTION_INPUT": "IAttentionInputLayer",
    "ATTENTION_OUTPUT": "IAttentionOutputLayer",
    "CAST": "ICastLayer",
    "CONCATENATION": "IConcatenationLayer",
    "CONSTANT": "IConstantLayer",
    "DEQUANTIZE": "IDequantizeLayer",
    "ELEMENTWISE": "IElementWiseLayer",
    "FILL": "IFillLayer",
    "GATHER": "IGatherLayer",
    "IDENTITY": "IIdentityLayer",
    "KV_CACHE_UPDATE": "IKVCacheUpdateLayer",
    "MATRIX_MULTIPLY": "IMatrixMultiplyLayer",
    "NORMALIZATION": "INormalizationLayer",
    "QUANTIZE": "IQuantizeLayer",
    "REDUCE": "IReduceLayer",
    "ROTARY_EMBEDDING": "IRotaryEmbeddingLayer",
    "SCATTER": "IScatterLayer",
    "SELECT": "ISelectLayer",
    "SHAPE": "IShapeLayer",
    "SHUFFLE": "IShuffleLayer",
    "SLICE": "ISliceLayer",
    "SOFTMAX": "ISoftMaxLayer",
    "SQUEEZE": "ISqueezeLayer",
    "TOPK": "ITopKLayer",
    "UNARY": "IUnaryLayer",
    "UNSQUEEZE": "IUnsqueezeLayer",
}
"""The class of each kind of layer that a network of ours may have."""
ATTRIBUTES = {
    "ACTIVATION": ("alpha", "beta"),
    "ATTENTION_INPUT": ("attention",),
    "ATTENTION_OUTPUT": ("attention",),
    "CAST": ("to_type",),
    "CONCATENATION": ("axis",),
    "CONSTANT": ("shape", "weights"),
    "DEQUANTIZE": ("axis", "block_shape", "to_type"),
    "ELEMENTWISE": ("op",),
    "FILL": ("operation", "shape", "alpha", "beta", "is_alpha_beta_int64", "to_type"),
    "GATHER": ("axis", "mode", "num_elementwise_dims"),
    "KV_CACHE_UPDATE": ("cache_mode", "update_form", "update_lengths"),
    "MATRIX_MULTIPLY": ("op0", "op1"),
    "NORMALIZATION": ("axes", "epsilon", "num_groups", "is_v2", "compute_precision"),
    "QUANTIZE": ("axis", "block_shape", "to_type"),
    "REDUCE": ("axes", "keep_dims", "op"),
    "ROTARY_EMBEDDING": ("interleaved", "rotary_embedding_dim"),
    "SCATTER": ("axis", "mode"),
    "SHUFFLE": ("first_transpose", "reshape_dims", "second_transpose", "zero_is_placeholder"),
    "SLICE": ("axes", "mode", "shape", "start", "stride"),
    "SOFTMAX": ("axes",),
    "TOPK": ("axes", "k", "op", "indices_type"),
    "UNARY": ("op",),
}
"""What layers have beyond their base class, of all versions of TensorRT: none may have more."""
FROM_INPUT = {
    ("FILL", "shape"): 0,
    ("FILL", "alpha"): 1,
    ("FILL", "beta"): 2,
    ("SHUFFLE", "reshape_dims"): 1,
    ("SLICE", "start"): 1,
    ("SLICE", "shape"): 2,
    ("SLICE", "stride"): 3,
    ("SLICE", "axes"): 5,
    ("TOPK", "k"): 1,
}
"""Attributes that an input takes the place of, where the layer has it; then they are None."""
ATTENTION = (
    "causal",
    "causal_kind",
    "decomposable",
    "key_value_form",
    "key_value_lengths",
    "mask",
    "norm_op",
    "normalization_quantize_scale",
    "normalization_quantize_to_type",
    "query_form",
    "query_lengths",
)
WITHOUT_EFFECT = ("decomposable", "normalization_quantize_to_type")
"""Of an attention: how it is compiled; and what goes with a scale that ours do not have."""
WITHOUT_DEFAULT = ("block_shape",)
"""A layer of scales has it where there are blocks."""
IMPLIED = ("precision", "precision_is_set")
"""Of every layer of older versions; without effect in strongly typed networks."""


def read_network(trt: ModuleType, network: Any) -> ParsedNetwork:
    """All of a parsed network.

    Args:
        trt: The TensorRT module.
        network: An INetworkDefinition. It and its parser, which has the weights, must live as long as the result.

    Raises:
        EngineError: A layer is of a kind, or has an attribute, that is not known here.
    """
    inputs = tuple(_tensor(network.get_input(i)) for i in range(network.num_inputs))
    outputs = tuple(_tensor(network.get_output(i)) for i in range(network.num_outputs))
    layers = tuple(_layer(trt, network.get_layer(i)) for i in range(network.num_layers))
    return ParsedNetwork(inputs, outputs, layers)


def _layer(trt: ModuleType, layer: Any) -> ParsedLayer:
    kind, name = _name(layer.type), layer.name
    if kind not in CLASSES:
        raise EngineError(
            f"layer {name!r} is of kind {kind}, which is not known: what it computes cannot be checked"
        )
    inputs = tuple(_tensor(layer.get_input(i)) for i in range(layer.num_inputs))
    outputs = tuple(_tensor(layer.get_output(i)) for i in range(layer.num_outputs))
    found: dict[str, Any] = {}
    with _as_class(layer, getattr(trt, CLASSES[kind])):
        if kind == "ACTIVATION":
            found["activation"] = _name(layer.type)
        known = ATTRIBUTES.get(kind, ())
        _check_attributes(f"layer {name!r} ({kind})", type(layer), trt.ILayer, known)
        for one in known:
            number = FROM_INPUT.get((kind, one))
            if number is not None and number < len(inputs) and inputs[number] is not None:
                found[one] = None
            elif hasattr(type(layer), one):
                found[one] = _set(layer, one)
    if kind == "ATTENTION_INPUT":
        found |= _attention(trt, name, found.pop("attention"))
    elif kind == "ATTENTION_OUTPUT":
        del found["attention"]
    elif kind == "CONSTANT":
        found["weights"] = Constant.of(trt, found["weights"], outputs[0].type, f"constant {name!r}")
    return ParsedLayer(kind, name, inputs, outputs, found)


def _set(layer: Any, attribute: str) -> Any:
    """An attribute; None for one that was never set and has no default: the bindings say so by an error."""
    try:
        return _plain(getattr(layer, attribute))
    except RuntimeError:
        if attribute not in WITHOUT_DEFAULT:
            raise
        return None


def _attention(trt: ModuleType, name: str, attention: Any) -> Mapping[str, Any]:
    _check_attributes(f"attention {name!r}", type(attention), trt.ILayer, ATTENTION)
    read = [one for one in ATTENTION if one not in WITHOUT_EFFECT and hasattr(type(attention), one)]
    return {one: _plain(getattr(attention, one)) for one in read}


def _check_attributes(what: str, own: type, base: type, known: tuple[str, ...]) -> None:
    for one in dir(own):
        if one.startswith("_") or hasattr(base, one) or one in known or one in IMPLIED:
            continue
        if not callable(getattr(own, one)):
            raise EngineError(
                f"{what} has an attribute {one}, which is not known: what it does cannot be checked"
            )


@contextmanager
def _as_class(layer: Any, own: type) -> Iterator[None]:
    """The bindings' object as its own class for a while; others read the base class' `type` of it."""
    base = layer.__class__
    layer.__class__ = own
    try:
        yield
    finally:
        layer.__class__ = base


def _tensor(tensor: Any) -> Any:
    """None for an input that is left out."""
    if tensor is None:
        return None
    return ParsedTensor(tensor.name, _name(tensor.dtype), tuple(tensor.shape))


def _plain(value: Any) -> Any:
    """A value of the bindings without them: enums by name, sizes as tuples, tensors as `ParsedTensor`."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if hasattr(value, "is_shape_tensor"):
        return _tensor(value)
    if hasattr(type(value), "__members__"):
        return _name(value)
    if type(value).__name__ in ("Dims", "Permutation", "tuple", "list") or hasattr(value, "volume"):
        return tuple(int(one) for one in value)
    return value


def _name(member: Any) -> str:
    return str(member).rsplit(".", 1)[-1]
