# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What each kind of layer computes of its inputs, in torch.

Values are in the network's own types or, on request, floating-point ones of 16 bits as float32. Products and sums of 16
bits are summed in float32 and rounded once, as TensorRT's kernels do; a CPU would be slow otherwise, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.tensorrt.parsed.constant import STORED
from molmo_ros.engine.tensorrt.parsed.parsed_network import ParsedLayer
from molmo_ros.engine.tensorrt.parsed.shape_functions import SHAPES, axes_of

HALVES = (torch.float16, torch.bfloat16)

Function = Callable[[ParsedLayer, list[Tensor | None], bool], tuple[Tensor, ...]]
"""Takes a layer, its inputs (None for those left out), and whether 16-bit numbers are float32."""

BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "SUM": torch.add,
    "SUB": torch.sub,
    "PROD": torch.mul,
    "MAX": torch.maximum,
    "MIN": torch.minimum,
    "POW": torch.pow,
    "FLOOR_DIV": torch.floor_divide,
    "AND": torch.logical_and,
    "OR": torch.logical_or,
    "XOR": torch.logical_xor,
    "EQUAL": torch.eq,
    "GREATER": torch.gt,
    "LESS": torch.lt,
}
UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "ABS": torch.abs,
    "CEIL": torch.ceil,
    "COS": torch.cos,
    "EXP": torch.exp,
    "FLOOR": torch.floor,
    "LOG": torch.log,
    "NEG": torch.neg,
    "NOT": torch.logical_not,
    "RECIP": torch.reciprocal,
    "SIN": torch.sin,
    "SQRT": torch.sqrt,
}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "GELU_ERF": torch.nn.functional.gelu,
    "GELU_TANH": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "RELU": torch.relu,
    "SIGMOID": torch.sigmoid,
    "TANH": torch.tanh,
}
INTEGER_RANGES = {torch.int8: (-128, 127)}


def torch_type(type_: str, wide: bool) -> torch.dtype:
    """What holds values of one of TensorRT's types.

    Raises:
        EngineError: Nothing does.
    """
    if type_ not in STORED:
        raise EngineError(f"the type {type_} is not known; known are {', '.join(STORED)}")
    found = STORED[type_]
    return torch.float32 if wide and found in HALVES else found


def compute(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    """The outputs of one layer.

    Args:
        layer: Which one.
        inputs: As it has them; None for those left out.
        wide: Whether 16-bit numbers are float32.

    Raises:
        EngineError: It has an attribute, or inputs, whose effect is not known; or what comes out is not what TensorRT
            says comes out.
    """
    try:
        outputs = FUNCTIONS[layer.kind](layer, inputs, wide)
    except (RuntimeError, IndexError, ValueError) as error:
        if isinstance(error, EngineError):
            raise
        raise EngineError(f"{layer} cannot be computed: {' '.join(str(error).split())[:300]}") from error
    for output, value in zip(layer.outputs, outputs, strict=True):
        expected = torch_type(output.type, wide)
        fits = len(output.shape) == value.ndim and all(
            one in (-1, size) for one, size in zip(output.shape, value.shape, strict=True)
        )
        if value.dtype != expected or not fits:
            raise EngineError(
                f"{layer} makes {output.name} {tuple(value.shape)} of {value.dtype}; TensorRT has it as "
                f"{output.shape} of {output.type}"
            )
    return outputs


def refuse(layer: ParsedLayer, **known: object) -> None:
    """Refuses attributes that have another value than those whose effect is known; a tuple is several.

    Raises:
        EngineError: Names the attribute and its value.
    """
    for name, values in known.items():
        allowed = values if isinstance(values, tuple) else (values,)
        if name in layer.attributes and layer.attributes[name] not in allowed:
            raise EngineError(
                f"{layer} has {name} {layer.attributes[name]}; known is {' or '.join(map(str, allowed))}"
            )


def present(layer: ParsedLayer, inputs: list[Tensor | None], *numbers: int) -> list[Tensor]:
    """Inputs that the layer must have; others than these, and optional ones, were looked at by the caller.

    Raises:
        EngineError: One is left out.
    """
    found = [inputs[number] if number < len(inputs) else None for number in numbers]
    if missing := [str(number) for number, one in zip(numbers, found, strict=True) if one is None]:
        raise EngineError(f"{layer} lacks input {', '.join(missing)}")
    return [one for one in found if one is not None]


def product(one: Tensor, other: Tensor) -> Tensor:
    """one @ other, in their type, summed in float32."""
    if one.dtype in HALVES:
        return torch.matmul(one.float(), other.float()).to(one.dtype)
    return torch.matmul(one, other)


def _constant(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    value = layer.attributes["weights"].tensor(layer.attributes["shape"], str(layer))
    return (value.to(torch_type(layer.outputs[0].type, wide)),)


def _cast(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    (x,) = present(layer, inputs, 0)
    return (x.to(torch_type(layer.attributes["to_type"], wide)),)


def _identity(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    (x,) = present(layer, inputs, 0)
    return (x.to(torch_type(layer.outputs[0].type, wide)),)


def _elementwise(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    one, other = present(layer, inputs, 0, 1)
    if one.ndim != other.ndim or one.dtype != other.dtype:
        raise EngineError(
            f"{layer} has inputs {tuple(one.shape)} of {one.dtype} and {tuple(other.shape)} of {other.dtype}; ranks "
            "and types must be the same"
        )
    op = layer.attributes["op"]
    if op == "DIV":
        return (torch.div(one, other, rounding_mode=None if one.is_floating_point() else "trunc"),)
    return (_known(layer, "operation", BINARY, op)(one, other),)


def _unary(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    (x,) = present(layer, inputs, 0)
    return (_known(layer, "operation", UNARY, layer.attributes["op"])(x),)


def _activation(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    (x,) = present(layer, inputs, 0)
    return (_known(layer, "activation", ACTIVATIONS, layer.attributes["activation"])(x),)


def _matrix_multiply(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    refuse(layer, op0=("NONE", "TRANSPOSE"), op1=("NONE", "TRANSPOSE"))
    operands = present(layer, inputs, 0, 1)
    if operands[0].ndim != operands[1].ndim:
        raise EngineError(f"{layer} has inputs of {operands[0].ndim} and {operands[1].ndim} dimensions")
    one, other = (
        x.transpose(-1, -2) if layer.attributes[op] == "TRANSPOSE" else x
        for op, x in zip(("op0", "op1"), operands, strict=True)
    )
    return (product(one, other),)


def _reduce(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    (x,) = present(layer, inputs, 0)
    axes, keep, op = axes_of(layer.attributes["axes"]), layer.attributes["keep_dims"], layer.attributes["op"]
    reductions: dict[str, Callable[[], Tensor]] = {
        "AVG": lambda: x.mean(axes, keepdim=keep),
        "MAX": lambda: x.amax(axes, keepdim=keep),
        "MIN": lambda: x.amin(axes, keepdim=keep),
        "SUM": lambda: x.sum(axes, keepdim=keep, dtype=x.dtype),
    }
    return (_known(layer, "operation", reductions, op)(),)


def _softmax(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    (x,) = present(layer, inputs, 0)
    (axis,) = axes_of(layer.attributes["axes"])
    return (torch.softmax(x, axis, dtype=torch.float32).to(x.dtype),)


def _normalization(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over the axes, in float32."""
    refuse(layer, num_groups=1, is_v2=(True, False), compute_precision="FLOAT")
    x, scale, bias = present(layer, inputs, 0, 1, 2)
    axes, wide_x = axes_of(layer.attributes["axes"]), x.float()
    variance, mean = torch.var_mean(wide_x, axes, correction=0, keepdim=True)
    normed = (wide_x - mean) / torch.sqrt(variance + layer.attributes["epsilon"])
    return ((normed * scale.float() + bias.float()).to(x.dtype),)


def _attention(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    """softmax(query @ key.T + mask) @ value, softmax in float32; heads of one group share their key's head."""
    refuse(
        layer,
        norm_op="SOFTMAX",
        query_form="PADDED_BHND",
        key_value_form="PADDED_BHND",
        query_lengths=None,
        key_value_lengths=None,
        normalization_quantize_scale=None,
        causal_kind=("NONE", "UPPER_LEFT", "LOWER_RIGHT"),
        causal=(True, False),
    )
    query, key, value = present(layer, inputs, 0, 1, 2)
    mask = inputs[3] if len(inputs) > 3 else None
    named = layer.attributes.get("mask")
    if (named is None) != (mask is None) or any(one is not None for one in inputs[4:]):
        raise EngineError(
            f"{layer} has inputs {layer.needs} beside the mask {named}: what they do is not known"
        )
    groups = query.shape[1] // key.shape[1]
    if groups * key.shape[1] != query.shape[1]:
        raise EngineError(f"{layer} has {query.shape[1]} heads of queries and {key.shape[1]} of keys")
    rows = query.unflatten(1, (key.shape[1], groups))
    scores = torch.matmul(rows.float(), key.float().transpose(-1, -2).unsqueeze(2))
    kind = layer.attributes.get("causal_kind", "NONE")
    if layer.attributes.get("causal") and kind == "NONE":
        kind = "UPPER_LEFT"  # of versions that know no other
    hidden = torch.zeros(scores.shape[-2:], dtype=torch.bool, device=scores.device)
    if kind != "NONE":
        behind = 0 if kind == "UPPER_LEFT" else scores.shape[-1] - scores.shape[-2]
        hidden = torch.ones_like(hidden).triu(1 + behind)
    if mask is not None:
        # [B or 1, heads or 1, q, k], each head of the queries with its own row where there are several.
        each = mask.unflatten(1, (key.shape[1], groups)) if mask.shape[1] > 1 else mask.unsqueeze(2)
        if mask.dtype == torch.bool:
            hidden = hidden | ~each
        else:
            scores = scores + each.float()
    weights = torch.softmax(scores.masked_fill(hidden, -torch.inf), -1).to(value.dtype)
    mixed = torch.matmul(weights.float(), value.float().unsqueeze(2)).to(value.dtype)
    return (mixed.flatten(1, 2),)


def _rotary_embedding(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    """Pairs of each head turned by the angle of the token's position: halves, or interleaved neighbours."""
    x, cosines, sines, positions = present(layer, inputs, 0, 1, 2, 3)
    refuse(layer, rotary_embedding_dim=(0, x.shape[-1]))
    cosine, sine = (table[positions.long()].unsqueeze(1) for table in (cosines, sines))
    if layer.attributes["interleaved"]:
        first, second = x[..., 0::2], x[..., 1::2]
    else:
        first, second = x.chunk(2, dim=-1)
    turned = first * cosine - second * sine, second * cosine + first * sine
    if layer.attributes["interleaved"]:
        return (torch.stack(turned, -1).flatten(-2),)
    return (torch.cat(turned, -1),)


def _kv_cache_update(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    """Writes [B, heads, q, width] at the slots from each row's index on: into the memory that came in."""
    refuse(layer, cache_mode="LINEAR", update_form="PADDED_BHND", update_lengths=None)
    cache, update, index = present(layer, inputs, 0, 1, 2)
    for row, first in enumerate(index.tolist()):
        last = first + update.shape[2]
        if first < 0 or last > cache.shape[2]:
            raise EngineError(f"{layer} writes slots {first} to {last - 1} of a cache of {cache.shape[2]}")
        cache[row, :, first:last] = update[row]
    return (cache,)


def _dequantize(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    x, scale = _with_scale(layer, inputs)
    return ((x.float() * scale.float()).to(torch_type(layer.outputs[0].type, wide)),)


def _quantize(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    """The nearest values of the type, halves to even, beyond its ends the ends."""
    x, scale = _with_scale(layer, inputs)
    steps, target = x.float() / scale.float(), torch_type(layer.outputs[0].type, wide)
    refuse(layer, to_type=layer.outputs[0].type)
    if target == torch.float8_e4m3fn and layer.outputs[0].type == "FP8":
        most = torch.finfo(target).max
        return (steps.clamp(-most, most).to(target),)
    if target not in INTEGER_RANGES or layer.outputs[0].type == "INT4":
        raise EngineError(f"{layer} rounds to {layer.outputs[0].type}, which is not known")
    return (steps.round().clamp(*INTEGER_RANGES[target]).to(target),)


def _with_scale(layer: ParsedLayer, inputs: list[Tensor | None]) -> tuple[Tensor, Tensor]:
    """Values and a scale that broadcasts to them: one, one for each index of an axis, or one for each block."""
    x, scale = present(layer, inputs, 0, 1)
    if len(inputs) > 2 and inputs[2] is not None and bool(inputs[2].float().any()):
        raise EngineError(f"{layer} has a zero point that is not 0, which is not known")
    if scale.numel() == 1:
        return x, scale.reshape([1] * x.ndim)
    if scale.ndim == 1:
        axis = layer.attributes["axis"]
        if not 0 <= axis < x.ndim or len(scale) != x.shape[axis]:
            raise EngineError(f"{layer} has {len(scale)} scales for axis {axis} of {tuple(x.shape)}")
        return x, scale.reshape([-1 if one == axis else 1 for one in range(x.ndim)])
    blocks = [
        size // count if count and size % count == 0 else 0
        for size, count in zip(x.shape, scale.shape, strict=True)
    ]
    named = [size for size in layer.attributes.get("block_shape") or ()]
    if 0 in blocks or (
        named and [size if size > 0 else whole for size, whole in zip(named, blocks, strict=True)] != blocks
    ):
        raise EngineError(
            f"{layer} has scales {tuple(scale.shape)} for values {tuple(x.shape)} in blocks of {named or 'any size'}"
        )
    for axis, block in enumerate(blocks):
        scale = scale.repeat_interleave(block, axis)
    return x, scale


def _known(layer: ParsedLayer, what: str, table: dict[str, Any], name: str) -> Any:
    if name not in table:
        raise EngineError(f"{layer} has the {what} {name}, which is not known; known are {', '.join(table)}")
    return table[name]


FUNCTIONS: dict[str, Function] = SHAPES | {
    "ACTIVATION": _activation,
    "ATTENTION_INPUT": _attention,
    "ATTENTION_OUTPUT": _identity,
    "CAST": _cast,
    "CONSTANT": _constant,
    "DEQUANTIZE": _dequantize,
    "ELEMENTWISE": _elementwise,
    "IDENTITY": _identity,
    "KV_CACHE_UPDATE": _kv_cache_update,
    "MATRIX_MULTIPLY": _matrix_multiply,
    "NORMALIZATION": _normalization,
    "QUANTIZE": _quantize,
    "REDUCE": _reduce,
    "ROTARY_EMBEDDING": _rotary_embedding,
    "SOFTMAX": _softmax,
    "UNARY": _unary,
}
