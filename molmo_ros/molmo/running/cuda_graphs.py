"""Steps over fixed memory as CUDA graphs: recorded once, then started as a whole.

A token is hundreds of small kernels, and starting them one by one can take longer than running them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch

from molmo_ros.molmo.errors import MolmoError

Result = TypeVar("Result")


class CudaGraphs(Generic[Result]):
    """Runs steps of a few kinds. On a CUDA device each kind is recorded the first time, and replayed from then on.

    A step takes nothing: it reads and writes the same memory whenever it runs, asks the device for nothing, and may
    run twice in a row with the same outcome.

    Attributes:
        refused: Why steps run kernel by kernel; None where they are replayed.
    """

    def __init__(self, device: torch.device, refused: str | None = None) -> None:
        """Begins without any recording.

        Args:
            device: Where the steps run.
            refused: Why nothing is to be recorded; None to record where the device can.
        """
        self.refused = f"{device.type} has no CUDA graphs" if device.type != "cuda" else refused
        self._device = device
        self._recorded: dict[Hashable, tuple[torch.cuda.CUDAGraph, Result]] = {}
        if self.refused is None:
            self._aside = torch.cuda.Stream(device)
            # They share their working memory, because one runs after the other; results have places of their own.
            self._pool = torch.cuda.graph_pool_handle()

    def run(self, kind: Hashable, step: Callable[[], Result]) -> Result:
        """Runs a step.

        Args:
            kind: Steps of the same kind do the same on the same memory.
            step: Enqueues its work on torch's current stream. What it returns the first time is returned every time;
                as tensors, their contents are new.
        """
        if self.refused is None and kind not in self._recorded:
            self._record(kind, step)
        if self.refused is not None:
            return step()
        graph, result = self._recorded[kind]
        graph.replay()
        return result

    def _record(self, kind: Hashable, step: Callable[[], Result]) -> None:
        """Records a kind, or notes why that cannot be."""
        current, aside = torch.cuda.current_stream(self._device), self._aside
        aside.wait_stream(current)
        with torch.cuda.stream(aside):
            step()  # libraries set up what they need at the first run, which must not happen in a recording
        current.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may use the device meanwhile.
            with torch.cuda.graph(graph, self._pool, aside, capture_error_mode="thread_local"):
                result = step()
        except (RuntimeError, MolmoError) as error:
            self.refused = f"recording failed: {str(error).splitlines()[0]}"
            self._recorded.clear()
            return
        self._recorded[kind] = graph, result
