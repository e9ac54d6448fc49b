# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The weights of a constant, as torch has them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.quantisation.four_bits import e2m1_values, signed, unpack

STORED = {
    "FLOAT": torch.float32,
    "HALF": torch.float16,
    "BF16": torch.bfloat16,
    "INT8": torch.int8,
    "INT32": torch.int32,
    "INT64": torch.int64,
    "BOOL": torch.bool,
    "UINT8": torch.uint8,
    "FP8": torch.float8_e4m3fn,
    "INT4": torch.int8,
    "FP4": torch.float8_e4m3fn,
}
"""What holds the values of each type: four-bit ones one to a byte; every E2M1 number is an E4M3 one."""
FOUR_BITS = ("INT4", "FP4")


class _Weights(ctypes.Structure):
    """TensorRT's own structure of weights (NvInferRuntimeBase.h)."""

    _fields_ = (("type", ctypes.c_int32), ("values", ctypes.c_void_p), ("count", ctypes.c_int64))


@dataclass(frozen=True)
class Constant:
    """Weights where TensorRT has them; nothing is copied before they are asked for.

    Attributes:
        data: uint8, a view of the parser's memory.
        type: TensorRT's name.
        count: How many values.
        owner: What it is a view of, as the bindings have it.
    """

    data: np.ndarray
    type: str
    count: int
    owner: Any = None

    @classmethod
    def of(cls, trt: ModuleType, weights: Any, type_: str, what: str) -> Constant:
        """The weights that the bindings hand out: an array, or where numpy has no such type, an object of theirs.

        Raises:
            EngineError: The type has no counterpart, or the weights cannot be found in memory.
        """
        if type_ not in STORED:
            raise EngineError(f"{what} is of type {type_}; known are {', '.join(STORED)}")
        if isinstance(weights, np.ndarray):
            return cls(_bytes_at(weights.ctypes.data, weights.nbytes), type_, weights.size, weights)
        # The bindings give no address of these; it is read where they keep it, if that is what they keep there.
        address = ctypes.c_void_p.from_address(id(weights) + object.__basicsize__).value or 0
        found = _Weights.from_address(address) if address else _Weights()
        if (found.type, found.count) != (int(weights.dtype), weights.size) or not found.values:
            raise EngineError(
                f"the values of {what} ({type_}) cannot be read from TensorRT {trt.__version__}"
            )
        size = (found.count + 1) // 2 if type_ in FOUR_BITS else found.count * STORED[type_].itemsize
        return cls(_bytes_at(found.values, size), type_, found.count, weights)

    def tensor(self, shape: tuple[int, ...], what: str) -> Tensor:
        """The values; a view, but for four-bit ones, which are unpacked.

        Raises:
            EngineError: There are not as many as the shape has.
        """
        found = torch.from_numpy(self.data)
        if prod(shape) != self.count:
            raise EngineError(
                f"{what} has {self.count} values of type {self.type}; its shape {shape} has {prod(shape)}"
            )
        if self.type in FOUR_BITS:
            codes = unpack(found)[: self.count].reshape(shape)
            return (
                signed(codes).to(torch.int8)
                if self.type == "INT4"
                else e2m1_values(codes).to(torch.float8_e4m3fn)
            )
        return found.view(STORED[self.type]).reshape(shape)


def _bytes_at(address: int, size: int) -> np.ndarray:
    """A view of memory as uint8."""
    if not size:
        return np.empty(0, np.uint8)
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
