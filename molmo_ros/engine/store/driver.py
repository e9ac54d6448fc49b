# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the NVIDIA driver says about this machine's GPU, without loading torch."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

LIBRARY = "libcuda.so.1"
VERSION = Path("/proc/driver/nvidia/version")
MAJOR, MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""


def gpu_capability() -> str | None:
    """The compute capability of the first GPU that CUDA sees, such as "8.7"; None without one."""
    try:
        cuda = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        return None
    for value, attribute in ((major, MAJOR), (minor, MINOR)):
        if cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device):
            return None
    return f"{major.value}.{minor.value}"


def driver_version() -> str | None:
    """The version of the NVIDIA kernel driver, such as "580.65.06"; None without one."""
    try:
        found = re.search(r"\b\d+\.\d+(\.\d+)?\b", VERSION.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return found[0] if found else None
