# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Random values of parameters that no torch module makes, for training from nothing."""

from __future__ import annotations

import torch
from torch import nn


def normal_parameter(*shape: int, std: float = 0.02) -> nn.Parameter:
    """A parameter of this shape, normally distributed around 0.

    On the meta device it has no values; drawing them all the same would import torch's compiler, which takes
    longer than loading a small checkpoint.
    """
    value = torch.empty(shape)
    return nn.Parameter(value if value.is_meta else value.normal_(std=std))
