# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Rotary position embedding (rotate-half layout), plain or scaled by YaRN, in float32."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from molmo_ros.molmo.config import RopeScaling

# The first cosine of a process sets up a vector library. Several threads at once now and then get it half set up and
# compute with an error of 1e-4 (torch 2.13 on x86); a single value is computed by one thread.
torch.zeros(1, dtype=torch.float32, device="cpu").cos()


class RotaryEmbedding:
    """Cosines and sines for explicit positions.

    Not a module: the frequencies must stay float32 when a model is cast to bfloat16.

    Args:
        head_dim: Width of a head; even.
        theta: Base of the frequencies.
        scaling: YaRN parameters, or None.
    """

    def __init__(self, head_dim: int, theta: float, scaling: RopeScaling | None = None) -> None:
        # On the CPU even where the model around it is being built on the meta device.
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device="cpu") / head_dim
        frequencies = 1.0 / (theta**exponents)
        self.magnitude = 1.0
        if scaling is not None:
            frequencies = _yarn(frequencies, head_dim, theta, scaling)
            default = 0.1 * math.log(scaling.factor) + 1.0 if scaling.factor > 1 else 1.0
            self.magnitude = default if scaling.attention_factor is None else scaling.attention_factor
        self._frequencies = {torch.device("cpu"): frequencies}

    def __call__(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine, each float32 [B, 1, L, head_dim], for `positions` [B, L]."""
        frequencies = self._frequencies.get(positions.device)
        if frequencies is None:
            frequencies = self._frequencies[torch.device("cpu")].to(positions.device)
            self._frequencies[positions.device] = frequencies
        angles = positions.unsqueeze(-1).float() * frequencies
        angles = torch.cat([angles, angles], dim=-1).unsqueeze(1)
        return angles.cos() * self.magnitude, angles.sin() * self.magnitude


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotates `x` [B, heads, L, head_dim] in float32 and returns it in its own dtype."""
    wide = x.float()
    first, second = wide.chunk(2, dim=-1)
    return (wide * cosine + torch.cat([-second, first], dim=-1) * sine).to(x.dtype)


def _yarn(frequencies: Tensor, head_dim: int, theta: float, scaling: RopeScaling) -> Tensor:
    """Divides the slow frequencies by the factor and keeps the fast ones, with a linear ramp between
    (arXiv:2309.00071, section 3.2; rounding of the bounds as in transformers)."""

    def bound(turns: float) -> float:
        return head_dim * math.log(scaling.original_length / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(bound(scaling.beta_fast)), 0)
    high = min(math.ceil(bound(scaling.beta_slow)), head_dim - 1)
    width = high - low if high != low else 0.001
    ramp = ((torch.arange(head_dim // 2, dtype=torch.float32, device="cpu") - low) / width).clamp(0, 1)
    return frequencies / scaling.factor * ramp + frequencies * (1 - ramp)
