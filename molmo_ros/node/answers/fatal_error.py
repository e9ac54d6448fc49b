"""Faults after which the model cannot answer any more in this process."""

from __future__ import annotations


class FatalModelError(RuntimeError):
    """The model cannot answer any more in this process, as after a fault of the GPU."""


def is_fatal(error: Exception) -> bool:
    """Whether a process cannot use its GPU any more after this error: CUDA keeps faults until the process ends.

    Running out of memory is not among them.
    """
    kind, text = type(error).__name__, str(error)
    if "OutOfMemory" in kind or "out of memory" in text:
        return False
    return kind == "AcceleratorError" or "CUDA error" in text or "cudaError" in text
