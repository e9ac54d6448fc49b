# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Four-bit values against ml_dtypes and onnx's own packing."""

import ml_dtypes
import numpy as np
import onnx
import torch
from onnx import TensorProto

from molmo_ros.engine.quantisation.four_bits import e2m1_codes, e2m1_values, pack, signed, unpack


def test_int4_is_packed_as_onnx_packs_it():
    values = torch.arange(-8, 8).repeat(3)
    theirs = onnx.helper.make_tensor("x", TensorProto.INT4, [48], values.tolist())
    assert bytes(theirs.int32_data) == pack(values).numpy().tobytes()
    assert torch.equal(signed(unpack(pack(values))), values.float())


def test_rows_are_packed_by_themselves():
    codes = torch.randint(0, 16, (5, 32))
    assert pack(codes).shape == (5, 16)
    assert torch.equal(unpack(pack(codes)), codes.to(torch.uint8))
    assert torch.equal(pack(codes).flatten(), pack(codes.flatten()))


def test_e2m1_rounds_as_ml_dtypes_does():
    values = torch.cat([torch.linspace(-9, 9, 4001), torch.arange(-32, 33) / 4])  # ties among them
    theirs = values.numpy().astype(ml_dtypes.float4_e2m1fn)
    codes = e2m1_codes(values)
    np.testing.assert_array_equal(e2m1_values(codes).numpy(), theirs.astype(np.float32))
    np.testing.assert_array_equal(codes.numpy(), theirs.view(np.uint8) & 15)
