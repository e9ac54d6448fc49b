# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Four-bit values two to a byte, as ONNX and TensorRT keep them: the first one in the low half."""

from __future__ import annotations

import torch
from torch import Tensor

E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], dtype=torch.float32, device="cpu")
"""The values of the codes 0 to 7 of E2M1; those of 8 to 15 are their negatives."""


def pack(codes: Tensor) -> Tensor:
    """uint8 [..., n / 2] of codes [..., n] from -8 to 15, of which the low four bits are kept; n is even."""
    low, high = (codes.to(torch.int16) & 15).to(torch.uint8).unflatten(-1, (-1, 2)).unbind(-1)
    return low | (high << 4)


def unpack(packed: Tensor) -> Tensor:
    """Codes uint8 [..., n] from 0 to 15 of uint8 [..., n / 2]."""
    return torch.stack([packed & 15, packed >> 4], dim=-1).flatten(-2)


def signed(codes: Tensor) -> Tensor:
    """Codes of int4, 0 to 15, as the float32 numbers -8 to 7 that they stand for."""
    return ((codes.to(torch.int16) ^ 8) - 8).float()


def e2m1_codes(values: Tensor) -> Tensor:
    """The codes uint8 of the nearest values of E2M1, of two the one with the even code; beyond 6 that of 6."""
    grid = E2M1.to(values.device)
    magnitudes, middles = values.abs(), (grid[1:] + grid[:-1]) / 2
    codes = torch.bucketize(magnitudes, middles)
    tie = (codes < 7) & (magnitudes == middles[codes.clamp(max=6)]) & (codes % 2 == 1)
    return ((codes + tie) | (torch.signbit(values).to(codes.dtype) << 3)).to(torch.uint8)


def e2m1_values(codes: Tensor) -> Tensor:
    """The float32 numbers of codes of E2M1, 0 to 15."""
    grid = E2M1.to(codes.device)
    return torch.cat([grid, -grid])[codes.long()]
