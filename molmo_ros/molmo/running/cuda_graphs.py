# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Steps over fixed memory as CUDA graphs: recorded once, then started as a whole.

A token is hundreds of small kernels, and starting them one by one can take longer than running them.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch

from molmo_ros.molmo.errors import MolmoError

Result = TypeVar("Result")
Made = TypeVar("Made")
LOG = logging.getLogger(__name__)


class CudaGraphs(Generic[Result]):
    """Runs steps of a few kinds. On a CUDA device each kind is recorded the first time, and replayed from then on.

    A step takes nothing: it reads and writes the same memory whenever it runs, asks the device for nothing, and may
    run twice in a row with the same outcome.

    Attributes:
        refused: Why steps run kernel by kernel; None where they are replayed.
    """

    def __init__(self, device: torch.device, refused: str | None = None) -> None:
        """Begins with a recording of next to nothing, to find out whether the device records.

        Args:
            device: Where the steps run.
            refused: Why nothing is to be recorded; None to record where the device can.

        Raises:
            torch.OutOfMemoryError: The device has no memory left.
            RuntimeError: The device is lost.
        """
        self.refused = f"{device.type} has no CUDA graphs" if device.type != "cuda" else refused
        self._device, self._what = device, "tokens are decoded"
        self._recorded: dict[Hashable, tuple[torch.cuda.CUDAGraph, Result]] = {}
        if self.refused is None:
            self._aside = torch.cuda.Stream(device)
            # They share their working memory, because one runs after the other; results have places of their own.
            self._pool = torch.cuda.graph_pool_handle()
            self._try()

    def run(self, kind: Hashable, step: Callable[[], Result]) -> Result:
        """Runs a step.

        Args:
            kind: Steps of the same kind do the same on the same memory.
            step: Enqueues its work on torch's current stream. What it returns the first time is returned every time;
                as tensors, their contents are new.

        Raises:
            torch.OutOfMemoryError: There is no memory for the recording; the next run tries again.
            RuntimeError: The device is lost.
        """
        if self.refused is None and kind not in self._recorded:
            recording = self._record(step)
            if recording is not None:
                self._recorded[kind] = recording
        if self.refused is not None:
            return step()
        graph, result = self._recorded[kind]
        graph.replay()
        return result

    def beside(self, what: str) -> CudaGraphs[Result]:
        """For other steps, in the same working memory; where those cannot be recorded these still can, and are.

        Args:
            what: They do, for the log.
        """
        other = copy.copy(self)
        other._recorded, other._what = {}, what
        return other

    def forget(self) -> None:
        """Drops all recordings, and the memory that they hold, as before what they read and write moves."""
        self._recorded.clear()

    def _try(self) -> None:
        """Makes sure that a replay computes with what is in memory then."""
        source = torch.ones(1, dtype=torch.float32, device=self._device)
        made = torch.zeros(1, dtype=torch.float32, device=self._device)
        recording = self._record(lambda: torch.add(source, 1, out=made))
        if recording is None:
            return
        source.fill_(41)
        recording[0].replay()
        if (found := float(made)) != 42:
            self._refuse(f"a recorded 41 + 1 is {found:g} on this device")

    def _record(self, step: Callable[[], Made]) -> tuple[torch.cuda.CUDAGraph, Made] | None:
        """A recording of a step, which has run once; or None, and why that cannot be is noted."""
        current, aside = torch.cuda.current_stream(self._device), self._aside
        aside.wait_stream(current)
        try:
            # torch.cuda.graph comes back from its stream only where all went well.
            with torch.cuda.stream(aside):
                step()  # libraries set up what they need at the first run, which must not happen in a recording
                recording, failure = self._captured(step)
        finally:
            current.wait_stream(aside)
        if failure is None:
            return recording
        if isinstance(failure, torch.OutOfMemoryError):
            raise failure
        torch.cuda.synchronize(self._device)  # raises where the device is lost, and not only a recording
        self._refuse(f"recording failed: {str(failure).splitlines()[0]}")
        return None

    def _captured(
        self, step: Callable[[], Made]
    ) -> tuple[tuple[torch.cuda.CUDAGraph, Made] | None, Exception | None]:
        """A recording of what a step enqueues, or what went wrong first: the end of a spoilt one has an error too."""
        graph, failure = torch.cuda.CUDAGraph(), None
        try:
            # Other threads may use the device meanwhile.
            with torch.cuda.graph(graph, self._pool, self._aside, capture_error_mode="thread_local"):
                try:
                    result = step()
                except (RuntimeError, MolmoError) as error:
                    failure = error
        except (RuntimeError, MolmoError) as error:
            failure = failure or error
        return (None, failure) if failure is not None else ((graph, result), None)

    def _refuse(self, reason: str) -> None:
        self.refused = reason
        self._recorded.clear()
        LOG.warning("%s kernel by kernel, which is slower: %s", self._what, reason)
