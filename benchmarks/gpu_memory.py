# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The most memory that was in use while something ran: of a device as its driver counts it, else of this process."""

from __future__ import annotations

import threading
from pathlib import Path

import torch

GB = 1e9
PERIOD = 0.02
"""Seconds between two looks. What is taken and given back in less is missed."""


class PeakMemory:
    """Looks again and again, in a thread of its own.

    The driver counts everything, TensorRT's memory and the contexts' own included, which torch's counters do not have;
    and other processes' too: what was in use before the first look of this process is in `before_gb`.

    Attributes:
        peak_gb: The most that was in use [GB].
        before_gb: What was in use when it began [GB].
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._done = device, threading.Event()
        self.peak_gb = self.before_gb = 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self.peak_gb = self.before_gb = used_memory(self._device)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(PERIOD):
            self._look()

    def _look(self) -> None:
        self.peak_gb = max(self.peak_gb, used_memory(self._device))


def used_memory(device: torch.device) -> float:
    """In use now: of a GPU by everybody, of the host the most that this process has had so far [GB]."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return (total - free) / GB
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / GB
