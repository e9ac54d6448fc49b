"""The GPUs that engines are built for: what each can do, which TensorRT it runs, and where it can be built."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from molmo_ros.engine.errors import UnsupportedBuildError
from molmo_ros.engine.store.driver import gpu_capability
from molmo_ros.engine.tensorrt.module import JETSON_MARK, TENSORRT, TENSORRT_RTX, version_numbers

PRECISIONS = ("fp16", "bf16", "int8", "int4", "fp8", "nvfp4")
NATIVE_SINCE = (10, 15)
"""TensorRT from which on KV-cache updates, attention and rotary embeddings are layers of its own."""
OLDEST = (10, 3)
"""The oldest TensorRT that anything is lowered for: JetPack 6's."""
FP8_SINCE, NVFP4_SINCE = (8, 9), (10, 0)
"""Compute capabilities from which on a chip multiplies these."""
RTX_CAPABILITIES = ((7, 5), (8, 0), (8, 6), (8, 9), (12, 0), (12, 1))
"""What TensorRT for RTX builds for."""


@dataclass(frozen=True)
class Target:
    """A kind of GPU.

    Attributes:
        name: As on the command line.
        chip: For people.
        capability: Its compute capability (major, minor).
        tensorrt: The module that builds and runs its engines.
        ahead: Whether any machine with that module can build for it, one without a GPU too. Otherwise only such a
            GPU itself can.
    """

    name: str
    chip: str
    capability: tuple[int, int]
    tensorrt: str
    ahead: bool

    @property
    def compute_capability(self) -> str:
        """As NVIDIA writes it: "8.6"."""
        return ".".join(map(str, self.capability))

    @property
    def precisions(self) -> tuple[str, ...]:
        """The number formats that the chip computes with."""
        since = {"fp8": FP8_SINCE, "nvfp4": NVFP4_SINCE}
        return tuple(one for one in PRECISIONS if self.capability >= since.get(one, (0, 0)))

    def check_precision(self, precision: str) -> None:
        """Refuses what the chip lacks.

        Raises:
            UnsupportedBuildError: Lists what it has.
        """
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
        """Refuses a machine that cannot build for this target.

        Args:
            gpu: The compute capability of this machine's GPU; None without one.

        Raises:
            UnsupportedBuildError: Says which machine can.
        """
        if not self.ahead and gpu != self.capability:
            here = "has no GPU that CUDA sees" if gpu is None else f"has compute capability {gpu[0]}.{gpu[1]}"
            raise UnsupportedBuildError(
                f"an engine for {self.name} can only be built on a {self.chip} (compute capability "
                f"{self.compute_capability}); this machine {here}. Targets that any machine can build for: "
                f"{', '.join(name for name, one in TARGETS.items() if one.ahead)}"
            )

    def lowering(self, version: str) -> str:
        """ "native" where this TensorRT has the layers of language models, else "legacy".

        Raises:
            UnsupportedBuildError: It is older than anything that was tried.
        """
        if self.tensorrt == TENSORRT_RTX:
            return "native"
        numbers = version_numbers(version)
        if numbers < OLDEST:
            raise UnsupportedBuildError(
                f"TensorRT {version} is older than {OLDEST[0]}.{OLDEST[1]} (JetPack 6), the oldest that engines are "
                "built with"
            )
        return "native" if numbers >= NATIVE_SINCE else "legacy"


TARGETS = {
    target.name: target
    for target in (
        Target("jetson-orin", "Jetson Orin", (8, 7), TENSORRT, ahead=False),
        Target("jetson-thor", "Jetson Thor", (11, 0), TENSORRT, ahead=False),
        Target("rtx30", "GeForce RTX 30", (8, 6), TENSORRT_RTX, ahead=True),
        Target("rtx40", "GeForce RTX 40", (8, 9), TENSORRT_RTX, ahead=True),
        Target("rtx50", "GeForce RTX 50", (12, 0), TENSORRT_RTX, ahead=True),
    )
}
THIS = "this"
TARGET_NAMES = (*TARGETS, THIS)


def find_target(name: str, gpu: tuple[int, int] | None, jetson: bool | None = None) -> Target:
    """A target by name; "this" is the GPU of this machine.

    Args:
        name: One of `TARGET_NAMES`.
        gpu: The compute capability of this machine's GPU; None without one.
        jetson: Whether this is a Jetson; None to look.

    Raises:
        UnsupportedBuildError: No such target, or "this" without a GPU.
    """
    if name in TARGETS:
        return TARGETS[name]
    if name != THIS:
        raise UnsupportedBuildError(
            f"target {name!r} is not known; it must be one of {', '.join(TARGET_NAMES)}"
        )
    if gpu is None:
        raise UnsupportedBuildError(
            "target 'this' needs a GPU, and CUDA sees none on this machine; name the one to build for: "
            f"{', '.join(TARGETS)}"
        )
    on_jetson = JETSON_MARK.exists() if jetson is None else jetson
    rtx = gpu in RTX_CAPABILITIES and gpu != (8, 0) and not on_jetson and platform.machine() == "x86_64"
    capability = f"compute capability {gpu[0]}.{gpu[1]}"
    return Target(THIS, capability, gpu, TENSORRT_RTX if rtx else TENSORRT, ahead=False)


def this_gpu() -> tuple[int, int] | None:
    """The compute capability of this machine's GPU; None without one."""
    found = gpu_capability()
    return None if found is None else version_numbers(found)


def cache_file(home: Path, target: Target, version: str) -> Path:
    """Where the timings of a TensorRT's kernels on a chip are kept."""
    return home / f"timing-{target.tensorrt}-{version}-sm{''.join(map(str, target.capability))}.cache"
