# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What engines are built for: what each target can do, what runs its engines, and where they can be built."""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from molmo_ros.engine.errors import UnsupportedBuildError
from molmo_ros.engine.quantisation.formats import QUANTISED, SIXTEEN_BITS
from molmo_ros.engine.runtime_table import ONNXRUNTIME, TENSORRT, TENSORRT_RTX, GraphRuntime
from molmo_ros.engine.store.driver import gpu_capability
from molmo_ros.engine.tensorrt.module import JETSON_MARK, load_tensorrt, version_numbers

PRECISIONS = SIXTEEN_BITS + QUANTISED
"""What GPUs may compute with."""
NATIVE_SINCE = (10, 15)
"""TensorRT from which on KV-cache updates, attention and rotary embeddings are layers of its own."""
OLDEST = (10, 3)
"""The oldest TensorRT that anything is lowered for: JetPack 6's."""
FP8_SINCE, NVFP4_SINCE = (8, 9), (10, 0)
"""Compute capabilities from which on a chip multiplies these."""
RTX_CAPABILITIES = ((7, 5), (8, 0), (8, 6), (8, 9), (12, 0), (12, 1))
"""What TensorRT for RTX builds for."""


@dataclass(frozen=True)
class Target(ABC):
    """What an engine is built for.

    Attributes:
        name: As on the command line.
        runtime: What runs its engines.
    """

    name: str
    runtime: GraphRuntime

    usual_precision: ClassVar[str]
    """What is built where no precision is asked for."""

    @property
    @abstractmethod
    def precisions(self) -> tuple[str, ...]:
        """The number formats that it computes with."""

    @property
    @abstractmethod
    def compute_capability(self) -> str | None:
        """Of the GPU that its engines are tied to, as NVIDIA writes it: "8.6"; None without one."""

    @abstractmethod
    def check_precision(self, precision: str) -> None:
        """Refuses what it does not compute with.

        Raises:
            UnsupportedBuildError: Lists what it has.
        """

    @abstractmethod
    def check_machine(self, gpu: tuple[int, int] | None) -> None:
        """Refuses a machine that cannot build for this target.

        Args:
            gpu: The compute capability of this machine's GPU; None without one.

        Raises:
            UnsupportedBuildError: Says which machine can.
        """

    @abstractmethod
    def runs_on(self, gpu: tuple[int, int] | None) -> bool:
        """Whether its engines run on a machine with such a GPU; None is none."""

    @abstractmethod
    def builder_versions(self) -> dict[str, str]:
        """The versions of what compiles its graphs, by module.

        Raises:
            EngineError: It is not installed.
        """


@dataclass(frozen=True)
class OnnxTarget(Target):
    """Any machine's CPU: onnxruntime runs the graphs as they are."""

    usual_precision = "fp32"
    precisions = ("fp32",)
    compute_capability = None

    def check_precision(self, precision: str) -> None:
        """See `Target`."""
        if precision not in self.precisions:
            raise UnsupportedBuildError(
                f"precision {precision!r} is not for target {self.name}: onnxruntime computes with "
                f"{self.usual_precision} on a CPU"
            )

    def check_machine(self, gpu: tuple[int, int] | None) -> None:
        """See `Target`; any machine can."""

    def runs_on(self, gpu: tuple[int, int] | None) -> bool:
        """See `Target`."""
        return True

    def builder_versions(self) -> dict[str, str]:
        """See `Target`; nothing compiles them."""
        return {}


@dataclass(frozen=True)
class TensorRTTarget(Target):
    """A kind of GPU.

    Attributes:
        chip: For people.
        capability: Its compute capability (major, minor).
        ahead: Whether any machine with that TensorRT can build for it, one without a GPU too. Otherwise only such a
            GPU itself can.
    """

    chip: str
    capability: tuple[int, int]
    ahead: bool

    usual_precision = "bf16"

    @property
    def compute_capability(self) -> str:
        """See `Target`."""
        return ".".join(map(str, self.capability))

    @property
    def precisions(self) -> tuple[str, ...]:
        """The number formats that the chip computes with."""
        since = {"fp8": FP8_SINCE, "nvfp4": NVFP4_SINCE}
        return tuple(one for one in PRECISIONS if self.capability >= since.get(one, (0, 0)))

    def check_precision(self, precision: str) -> None:
        """See `Target`."""
        if precision not in PRECISIONS:
            raise UnsupportedBuildError(
                f"precision {precision!r} is not known; it must be one of {', '.join(PRECISIONS)}"
            )
        if precision not in self.precisions:
            raise UnsupportedBuildError(
                f"{self.name} ({self.chip}, compute capability {self.compute_capability}) has no {precision}; it has "
                f"{', '.join(self.precisions)}"
            )

    def check_machine(self, gpu: tuple[int, int] | None) -> None:
        """See `Target`."""
        if not self.ahead and gpu != self.capability:
            here = "has no GPU that CUDA sees" if gpu is None else f"has compute capability {gpu[0]}.{gpu[1]}"
            raise UnsupportedBuildError(
                f"an engine for {self.name} can only be built on a {self.chip} (compute capability "
                f"{self.compute_capability}); this machine {here}. Targets that any machine can build for: "
                f"{', '.join(name for name, one in GPU_TARGETS.items() if one.ahead)}"
            )

    def runs_on(self, gpu: tuple[int, int] | None) -> bool:
        """See `Target`."""
        return gpu == self.capability

    def builder_versions(self) -> dict[str, str]:
        """See `Target`."""
        name = self.runtime.package
        return {name: str(load_tensorrt(name).__version__)}

    def lowering(self, version: str) -> str:
        """ "native" where this TensorRT has the layers of language models, else "legacy".

        Raises:
            UnsupportedBuildError: It is older than anything that was tried.
        """
        if self.runtime == TENSORRT_RTX:
            return "native"
        numbers = version_numbers(version)
        if numbers < OLDEST:
            raise UnsupportedBuildError(
                f"TensorRT {version} is older than {OLDEST[0]}.{OLDEST[1]} (JetPack 6), the oldest that engines are "
                "built with"
            )
        return "native" if numbers >= NATIVE_SINCE else "legacy"


GPU_TARGETS = {
    target.name: target
    for target in (
        TensorRTTarget("jetson-orin", TENSORRT, "Jetson Orin", (8, 7), ahead=False),
        TensorRTTarget("jetson-thor", TENSORRT, "Jetson Thor", (11, 0), ahead=False),
        TensorRTTarget("rtx30", TENSORRT_RTX, "GeForce RTX 30", (8, 6), ahead=True),
        TensorRTTarget("rtx40", TENSORRT_RTX, "GeForce RTX 40", (8, 9), ahead=True),
        TensorRTTarget("rtx50", TENSORRT_RTX, "GeForce RTX 50", (12, 0), ahead=True),
    )
}
CPU_TARGETS = {"onnx": OnnxTarget("onnx", ONNXRUNTIME)}
THIS = "this"
TARGET_NAMES = (*GPU_TARGETS, THIS, *CPU_TARGETS)


def find_target(name: str, gpu: tuple[int, int] | None, jetson: bool | None = None) -> Target:
    """A target by name; "this" is the GPU of this machine.

    Args:
        name: One of `TARGET_NAMES`.
        gpu: The compute capability of this machine's GPU; None without one.
        jetson: Whether this is a Jetson; None to look.

    Raises:
        UnsupportedBuildError: No such target, or "this" without a GPU.
    """
    known: dict[str, Target] = {**GPU_TARGETS, **CPU_TARGETS}
    if name in known:
        return known[name]
    if name != THIS:
        raise UnsupportedBuildError(
            f"target {name!r} is not known; it must be one of {', '.join(TARGET_NAMES)}"
        )
    if gpu is None:
        raise UnsupportedBuildError(
            "target 'this' needs a GPU, and CUDA sees none on this machine; name the one to build for: "
            f"{', '.join(GPU_TARGETS)}"
        )
    on_jetson = JETSON_MARK.exists() if jetson is None else jetson
    rtx = gpu in RTX_CAPABILITIES and gpu != (8, 0) and not on_jetson and platform.machine() == "x86_64"
    capability = f"compute capability {gpu[0]}.{gpu[1]}"
    return TensorRTTarget(THIS, TENSORRT_RTX if rtx else TENSORRT, capability, gpu, ahead=False)


def this_gpu() -> tuple[int, int] | None:
    """The compute capability of this machine's GPU; None without one."""
    found = gpu_capability()
    return None if found is None else version_numbers(found)


def cache_file(home: Path, target: TensorRTTarget, version: str) -> Path:
    """Where the timings of a TensorRT's kernels on a chip are kept."""
    return home / f"timing-{target.runtime.name}-{version}-sm{''.join(map(str, target.capability))}.cache"
