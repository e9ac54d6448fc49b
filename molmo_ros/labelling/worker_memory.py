# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a worker takes, before one is started."""

from __future__ import annotations

import math

from molmo_ros.molmo.catalog.model_store import checkpoint_folder
from molmo_ros.molmo.dtypes import DTYPE_BYTES
from molmo_ros.molmo.weights.weight_files import stored_tensors

LIBRARIES = 600 << 20
"""Of a worker with the smallest model: Python, torch, onnxruntime, ROS's messages, buffers of pictures [bytes]."""
ROOM = 1.2
"""Beside its weights a model takes activations, and the cache of keys and values."""


def worker_memory(model: str, dtype: str) -> int:
    """About what a worker takes [bytes].

    Args:
        model: Name or folder of the model.
        dtype: Of its weights.

    Raises:
        molmo_ros.molmo.errors.CheckpointError: There is no such model.
    """
    tensors = stored_tensors(checkpoint_folder(model)).values()
    weights = sum(math.prod(one.shape) for one in tensors) * DTYPE_BYTES[dtype]
    return LIBRARIES + round(ROOM * weights)
