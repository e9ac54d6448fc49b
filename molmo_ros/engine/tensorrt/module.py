# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The one place that imports TensorRT: the full one, or the one for RTX, whose Python interface is the same."""

from __future__ import annotations

import importlib
import platform
from pathlib import Path
from types import ModuleType

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.runtime_table import TENSORRT_RTX

JETSON_MARK = Path("/etc/nv_tegra_release")


def load_tensorrt(name: str) -> ModuleType:
    """The module of a TensorRT.

    Args:
        name: "tensorrt" or "tensorrt_rtx".

    Raises:
        EngineError: It is not installed, or cannot be loaded; the message says what to install on this machine.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise EngineError(f"{name} cannot be imported ({error}). {advice(name)}") from error


def installed_version(name: str) -> str | None:
    """The version of a TensorRT; None where it is not installed."""
    try:
        return str(load_tensorrt(name).__version__)
    except EngineError:
        return None


def advice(name: str, jetson: bool | None = None) -> str:
    """What to install for it on this machine."""
    on_jetson = JETSON_MARK.exists() if jetson is None else jetson
    if name == TENSORRT_RTX.package:
        return "TensorRT for RTX is on PyPI: pip install tensorrt-rtx-cu13"
    if on_jetson:
        return (
            "On a Jetson TensorRT comes with JetPack, never from pip: sudo apt-get install python3-libnvinfer; a "
            "virtual environment sees it with --system-site-packages"
        )
    if platform.machine() == "aarch64":
        return "On this machine: pip install tensorrt-cu13 (a Jetson has it from JetPack instead)"
    return "On this machine: pip install tensorrt-cu12 or tensorrt-cu13, as your driver's CUDA is"


def version_numbers(version: str) -> tuple[int, int]:
    """(10, 16) of "10.16.0.5"."""
    major, minor = (version.split(".") + ["0"])[:2]
    return int(major), int(minor)
