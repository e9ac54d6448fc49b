# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How much memory this process holds, in each state of the node's life cycle."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class MemoryUse:
    """Memory of this process at one moment.

    Attributes:
        resident: In RAM, shared libraries included [bytes].
        gpu_allocated: In torch's tensors on all GPUs [bytes]; None where torch uses no GPU.
        gpu_reserved: What torch keeps of the GPUs, its free blocks included [bytes]; None as above.
    """

    resident: int
    gpu_allocated: int | None = None
    gpu_reserved: int | None = None


def memory_use() -> MemoryUse:
    """What is held now. Never imports torch, and never wakes a GPU that nobody uses."""
    return MemoryUse(_resident(), *_gpu())


def free_caches() -> None:
    """Memory of the last frames and answers: back to the system and, where torch uses one, to the GPU.

    After a fault CUDA gives nothing back, and raises instead; that is logged, since states end also then.
    """
    gc.collect()
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return
    try:
        cuda.empty_cache()
    except RuntimeError as error:
        LOG.warning(
            "the GPU's memory is not given back before the process ends: %s", str(error).splitlines()[0]
        )


def _resident() -> int:
    """The second field of /proc/self/statm, in pages (proc_pid_statm(5)) [bytes]."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _gpu() -> tuple[int | None, int | None]:
    """Allocated and reserved by torch [bytes]."""
    # Another thread may be in the middle of importing torch: its parts need not be there yet.
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    is_initialized = getattr(cuda, "is_initialized", None)
    if cuda is None or is_initialized is None or not is_initialized():
        return None, None
    devices = range(cuda.device_count())
    try:
        return sum(map(cuda.memory_allocated, devices)), sum(map(cuda.memory_reserved, devices))
    except RuntimeError:  # the GPU is lost; what it held is not known any more
        return None, None


class MemoryByState:
    """The last known memory of each state of the life cycle. Thread-safe.

    What a state frees shows as the difference between its record and that of the state before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: str | None = None
        self._records: dict[str, MemoryUse] = {}

    def enter(self, state: str) -> MemoryUse:
        """A state begins, with its memory as of now."""
        with self._lock:
            self._state = state
        return self.measure()

    def measure(self) -> MemoryUse:
        """Measure, and keep it as the record of the present state."""
        use = memory_use()
        with self._lock:
            if self._state is not None:
                self._records[self._state] = use
        return use

    def records(self) -> dict[str, MemoryUse]:
        """By state, in the order in which they were first entered."""
        with self._lock:
            return dict(self._records)
