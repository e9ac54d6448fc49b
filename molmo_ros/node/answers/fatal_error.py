# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Faults after which the model cannot answer any more in this process."""

from __future__ import annotations

import sys


class FatalModelError(RuntimeError):
    """The model cannot answer any more in this process, as after a fault of the GPU."""


def gpu_is_lost() -> bool:
    """Whether this process cannot use a GPU any more that torch uses: CUDA keeps a fault until the process ends.

    The GPU is asked, since words tell little: TensorRT has its own for the same fault, and cuBLAS' for a lack of
    memory, which passes, look like one. Waits for what the GPU still does; never imports torch, and wakes no GPU.
    """
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return False
    used = [device for device in range(cuda.device_count()) if cuda.memory_reserved(device) > 0]
    return any(_fails(cuda, device) and _fails(cuda, device) for device in used)  # what passes is told once


def _fails(cuda: object, device: int) -> bool:
    try:
        cuda.synchronize(device)  # type: ignore[attr-defined]
    except RuntimeError:
        return True
    return False
