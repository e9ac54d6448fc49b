# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Layers that move values without changing them, and those that compute shapes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.tensorrt.parsed.parsed_network import ParsedLayer


def axes_of(bits: int) -> tuple[int, ...]:
    """The axes of TensorRT's bit mask."""
    return tuple(axis for axis in range(bits.bit_length()) if bits >> axis & 1)


def sizes(layer: ParsedLayer, inputs: list[Tensor | None], number: int, attribute: str) -> list[int] | None:
    """Sizes that are an input, or an attribute where there is no such input; None for neither."""
    if number < len(inputs) and (given := inputs[number]) is not None:
        return [int(one) for one in given.reshape(-1).tolist()]
    found = layer.attributes.get(attribute)
    return None if found is None else list(found)


def _first(layer: ParsedLayer, inputs: list[Tensor | None]) -> Tensor:
    if not inputs or inputs[0] is None:
        raise EngineError(f"{layer} lacks its input")
    return inputs[0]


def _all(layer: ParsedLayer, inputs: list[Tensor | None]) -> list[Tensor]:
    found = [one for one in inputs if one is not None]
    if len(found) != len(inputs):
        raise EngineError(f"{layer} lacks one of its {len(inputs)} inputs")
    return found


def _shape(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    return (torch.tensor(_first(layer, inputs).shape, dtype=torch.int64, device="cpu"),)


def _shuffle(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    """Transposed, reshaped, transposed."""
    x = _first(layer, inputs)
    x = x.permute(layer.attributes["first_transpose"][: x.ndim])
    shape = sizes(layer, inputs, 1, "reshape_dims")
    if shape is not None:
        if layer.attributes["zero_is_placeholder"]:
            shape = [x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
        x = x.reshape(shape)
    return (x.permute(layer.attributes["second_transpose"][: x.ndim]),)


def _slice(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    """start + stride * [0, size) of each axis; a stride of 0 repeats."""
    x, mode = _first(layer, inputs), layer.attributes["mode"]
    if mode not in ("STRICT_BOUNDS", "CLAMP") or (len(inputs) > 4 and inputs[4] is not None):
        raise EngineError(f"{layer} has mode {mode}; known are STRICT_BOUNDS and CLAMP, without a fill value")
    starts, shape, strides = (
        sizes(layer, inputs, number, name) for number, name in ((1, "start"), (2, "shape"), (3, "stride"))
    )
    axes = sizes(layer, inputs, 5, "axes")
    if starts is None or shape is None or strides is None:
        raise EngineError(
            f"{layer} has start {starts}, sizes {shape} and stride {strides}; it needs all three"
        )
    where = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in axes]
    for axis, start, size, stride in zip(where, starts, shape, strides, strict=True):
        there, last = x.shape[axis], start + stride * (size - 1)
        if size and mode == "STRICT_BOUNDS" and not (0 <= start < there and 0 <= last < there):
            raise EngineError(f"{layer} takes {start} to {last} of axis {axis}, which has {there}")
        if size == there and start == 0 and stride == 1:
            continue
        if size and stride > 0 and start >= 0 and last < there:
            x = x[(slice(None),) * axis + (slice(start, last + 1, stride),)]
        elif size and stride == 0 and 0 <= start < there:
            x = x.narrow(axis, start, 1).expand(*(size if one == axis else -1 for one in range(x.ndim)))
        else:
            picked = start + stride * torch.arange(size, dtype=torch.int64, device="cpu")
            x = x.index_select(axis, picked.clamp(0, max(there - 1, 0)))
    return (x,)


def _concatenation(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    return (torch.cat(_all(layer, inputs), layer.attributes["axis"]),)


def _gather(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    x, index = _all(layer, inputs)
    mode, axis = layer.attributes["mode"], layer.attributes["axis"]
    if mode != "DEFAULT" or layer.attributes["num_elementwise_dims"]:
        raise EngineError(
            f"{layer} has mode {mode} with {layer.attributes['num_elementwise_dims']} elementwise dimensions; known is "
            "DEFAULT with 0"
        )
    flat = index.reshape(-1).long()
    there = x.shape[axis]
    if len(flat) and not (int(flat.min()) >= 0 and int(flat.max()) < there):
        raise EngineError(
            f"{layer} takes {int(flat.min())} to {int(flat.max())} of axis {axis}, which has {there}"
        )
    return (
        x.index_select(axis, flat).unflatten(axis, index.shape) if index.ndim else x.select(axis, int(index)),
    )


def _unsqueeze(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    x, axes = _all(layer, inputs)
    rank = x.ndim + axes.numel()
    for axis in sorted(one % rank for one in axes.reshape(-1).tolist()):
        x = x.unsqueeze(axis)
    return (x,)


def _squeeze(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    x, axes = _all(layer, inputs)
    where = [one % x.ndim for one in axes.reshape(-1).tolist()]
    if any(x.shape[axis] != 1 for axis in where):
        raise EngineError(f"{layer} takes the axes {where} from {tuple(x.shape)}; their sizes must be 1")
    return (x.reshape([size for axis, size in enumerate(x.shape) if axis not in where]),)


def _fill(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    """start + step * i along the last axis."""
    found = layer.attributes
    if found["operation"] != "LINSPACE":
        raise EngineError(f"{layer} has the operation {found['operation']}; known is LINSPACE")
    shape = sizes(layer, inputs, 0, "shape")
    start, step = (
        inputs[number] if number < len(inputs) and inputs[number] is not None else found[name]
        for number, name in ((1, "alpha"), (2, "beta"))
    )
    if shape is None or len(shape) != 1:
        raise EngineError(f"{layer} has shape {shape}; known are those of one dimension")
    types = {"INT32": torch.int32, "INT64": torch.int64, "FLOAT": torch.float32}
    dtype = types.get(layer.outputs[0].type)
    if dtype is None:
        raise EngineError(f"{layer} fills with {layer.outputs[0].type}; known are {', '.join(types)}")
    first, more = (
        one.reshape(()).to(dtype) if isinstance(one, Tensor) else torch.tensor(one, dtype=dtype, device="cpu")
        for one in (start, step)
    )
    return (first + more * torch.arange(shape[0], dtype=dtype, device="cpu"),)


def _scatter(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    x, index, update = _all(layer, inputs)
    if layer.attributes["mode"] != "ELEMENT":
        raise EngineError(f"{layer} has mode {layer.attributes['mode']}; known is ELEMENT")
    axis = layer.attributes["axis"]
    if index.numel() and not (int(index.min()) >= 0 and int(index.max()) < x.shape[axis]):
        raise EngineError(
            f"{layer} writes {int(index.min())} to {int(index.max())} of axis {axis}, which has {x.shape[axis]}"
        )
    return (x.scatter(axis, index.long(), update),)


def _select(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    condition, one, other = _all(layer, inputs)
    return (torch.where(condition, one, other),)


def _top_k(layer: ParsedLayer, inputs: list[Tensor | None], wide: bool) -> tuple[Tensor, ...]:
    """The largest, in falling order, of equal ones the first."""
    x = _first(layer, inputs)
    found = layer.attributes
    k = found["k"] if len(inputs) < 2 or inputs[1] is None else int(inputs[1].reshape(()))
    (axis,) = axes_of(found["axes"])
    if found["op"] not in ("MAX", "MIN") or not 0 < k <= x.shape[axis]:
        raise EngineError(f"{layer} takes the {found['op']} {k} of {x.shape[axis]}")
    values, places = torch.sort(x, dim=axis, descending=found["op"] == "MAX", stable=True)
    kind = torch.int64 if layer.outputs[1].type == "INT64" else torch.int32
    return values.narrow(axis, 0, k), places.narrow(axis, 0, k).to(kind)


SHAPES: dict[str, Callable[[ParsedLayer, list[Tensor | None], bool], tuple[Tensor, ...]]] = {
    "CONCATENATION": _concatenation,
    "FILL": _fill,
    "GATHER": _gather,
    "SCATTER": _scatter,
    "SELECT": _select,
    "SHAPE": _shape,
    "SHUFFLE": _shuffle,
    "SLICE": _slice,
    "SQUEEZE": _squeeze,
    "TOPK": _top_k,
    "UNSQUEEZE": _unsqueeze,
}
