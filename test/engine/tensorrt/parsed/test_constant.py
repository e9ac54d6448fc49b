# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Weights as TensorRT's bindings hand them out: arrays, and objects without an address."""

import numpy as np
import pytest
import torch

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.quantisation.four_bits import pack
from molmo_ros.engine.tensorrt.parsed.constant import Constant


def of(trt, kind, stored, count):
    """Weights of a type at an address."""
    data = stored.contiguous().view(torch.uint8).numpy()
    weights = trt.Weights(getattr(trt.DataType, kind), data.ctypes.data, count)
    return Constant.of(trt, weights, kind, "w"), data


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.float16, torch.float32])
def test_values_of_every_type_are_read(dtype, trt):
    kind = {torch.bfloat16: "BF16", torch.float8_e4m3fn: "FP8", torch.float16: "HALF", torch.float32: "FLOAT"}
    values = torch.tensor([[1.5, -2.0, 0.25], [448.0, 0.0, -1.0]]).to(dtype)
    if dtype in (torch.float16, torch.float32):
        array = values.numpy()
        constant = Constant.of(trt, array, kind[dtype], "w")
    else:
        constant, array = of(trt, kind[dtype], values, 6)
    assert torch.equal(constant.tensor((2, 3), "w").float(), values.float())
    assert constant.tensor((2, 3), "w").data_ptr() == array.ctypes.data  # nothing was copied
    with pytest.raises(EngineError, match=r"w has 6 values of type .*; its shape \(7,\) has 7"):
        constant.tensor((7,), "w")


def test_four_bits_of_an_odd_size(trt):
    """The last half byte is nobody's."""
    constant, _data = of(trt, "INT4", pack(torch.tensor([-8, 7, 0, -1, 3, 2, 5, -4])), 7)
    assert constant.tensor((7,), "w").tolist() == [-8, 7, 0, -1, 3, 2, 5]
    for wrong in (5, 6, 9):
        with pytest.raises(EngineError, match="w has"):
            constant.tensor((wrong,), "w")


def test_four_bit_floats(trt):
    constant, _data = of(trt, "FP4", pack(torch.tensor([0, 1, 7, 15])), 4)
    assert constant.tensor((2, 2), "w").float().tolist() == [[0, 0.5], [6, -6]]


def test_a_type_that_is_not_known(trt):
    with pytest.raises(EngineError, match="w is of type E8M0; known are FLOAT, HALF"):
        Constant.of(trt, np.zeros(1, np.uint8), "E8M0", "w")
