"""The one logger and the one `Runtime` that a process has of a TensorRT.

TensorRT keeps the first logger that it is given and uses it for everything in the process, after whoever gave it has
gone too. So there is one, which nothing ever frees.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

KEPT_LINES = 6


@dataclass(frozen=True)
class ProcessRuntime:
    """What all engines of a TensorRT share.

    Attributes:
        log: A `trt.ILogger`. Its `lines` are the last warnings and errors; whoever wants to know what was said to a
            call clears them before it.
        runtime: A `trt.Runtime`, which must live as long as its engines.
    """

    log: Any
    runtime: Any


_MADE: WeakKeyDictionary[ModuleType, ProcessRuntime] = WeakKeyDictionary()
"""By module, of which there is one for each TensorRT."""


def process_runtime(trt: ModuleType) -> ProcessRuntime:
    """The logger and the `Runtime` of a TensorRT, made at the first call.

    Args:
        trt: The module `tensorrt` or `tensorrt_rtx`.
    """
    if trt not in _MADE:
        log = _log(trt)
        _MADE[trt] = ProcessRuntime(log, trt.Runtime(log))
    return _MADE[trt]


def _log(trt: Any) -> Any:
    """Keeps the last warnings and errors instead of printing them."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: deque[str] = deque(maxlen=KEPT_LINES)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.WARNING:
                self.lines.append(message.strip())

    return Log()
