# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a machine has for TensorRT: read, and each thing that would stop a build or an engine, with its cure."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from benchmarks.gpu_engines import MODULES
from molmo_ros.engine.store.driver import driver_version, gpu_capability
from molmo_ros.engine.tensorrt.module import JETSON_MARK, advice, installed_version

GB = 1e9
NEEDED_DISK = 2 * GB
PACKAGES = ("molmo_ros", "torch", "onnx", "onnxruntime", "numpy", "transformers")
SETTINGS = ("CUDA_VISIBLE_DEVICES", "CUDA_MODULE_LOADING", "PYTORCH_CUDA_ALLOC_CONF", "ROS_DISTRO")


@dataclass(frozen=True)
class Problem:
    """Something that is missing or does not fit, and what to do."""

    what: str
    cure: str


def environment(device: torch.device) -> dict[str, Any]:
    """Facts about the machine. Nothing names the person, the machine or a folder."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": _system(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / GB, 1),
        "disk_free_gb": round(shutil.disk_usage(".").free / GB, 1),
        "jetson": JETSON_MARK.read_text(encoding="utf-8").splitlines()[0] if JETSON_MARK.exists() else None,
        "power_mode": _said("nvpmodel", "-q"),
        "driver": driver_version(),
        "capability_by_driver": gpu_capability(),
        "cuda_of_torch": torch.version.cuda,
        "packages": {name: _installed(name) for name in PACKAGES},
        "tensorrt": {name: installed_version(name) for name in MODULES},
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
    }
    if device.type == "cuda" and torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(device)
        free, total = torch.cuda.mem_get_info(device)
        facts["gpu"] = {
            "name": properties.name,
            "capability": [properties.major, properties.minor],
            "sms": properties.multi_processor_count,
            "memory_gb": round(total / GB, 2),
            "free_gb": round(free / GB, 2),
            "code_in_torch": torch.cuda.get_arch_list(),
        }
    return facts


def problems(facts: dict[str, Any], device: torch.device) -> list[Problem]:
    """What would stop a part of the measurements.

    Args:
        facts: See `environment`.
        device: What is to be measured.
    """
    found = []
    if device.type == "cuda" and "gpu" not in facts:
        on_jetson = facts["jetson"] is not None
        source = "the wheel for your JetPack" if on_jetson else "a wheel of torch for your driver's CUDA"
        seen = (
            f"the driver sees one of {facts['capability_by_driver']}"
            if facts["capability_by_driver"]
            else "no driver"
        )
        found.append(Problem(f"torch sees no CUDA device ({seen})", f"install {source}, then try again"))
    if gpu := facts.get("gpu"):
        major, minor = gpu["capability"]
        codes = {code.rpartition("_")[2].rstrip("af") for code in gpu["code_in_torch"]}
        within = {f"{major}{other}" for other in range(minor + 1)}
        if codes and not codes & within:
            found.append(
                Problem(
                    f"torch has no code for compute capability {major}.{minor}, only {', '.join(gpu['code_in_torch'])}",
                    "install a wheel of torch that has; kernels fail otherwise",
                )
            )
    if not any(facts["tensorrt"].values()):
        found.append(Problem("no TensorRT can be imported", advice(MODULES[0])))
    for name in ("onnx", "onnxruntime"):
        if facts["packages"][name] is None:
            found.append(Problem(f"{name} is not installed", "in the checkout: pip install '.[engine]'"))
    if facts["disk_free_gb"] * GB < NEEDED_DISK:
        found.append(
            Problem(
                f"{facts['disk_free_gb']} GB of disk are free", f"make room for {NEEDED_DISK / GB:.0f} GB"
            )
        )
    return found


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _said(*command: str) -> str | None:
    """What a program prints; None where it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return " ".join(done.stdout.split()) if done.returncode == 0 else None
