# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The one logger and the one `Runtime` that a process has of a TensorRT.

TensorRT keeps the first logger that it is given and uses it for everything in the process, after whoever gave it has
gone too. So there is one, which nothing ever frees. A second one would be dangerous too: TensorRT warns of it while it
holds the lock that a builder's or a runtime's end takes, and garbage collected in the logger's Python would wait for
that lock forever.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

KEPT_LINES = 8


@dataclass(frozen=True)
class ProcessRuntime:
    """What all engines of a TensorRT share.

    Attributes:
        log: What `process_log` gives.
        runtime: A `trt.Runtime`, which must live as long as its engines.
    """

    log: Any
    runtime: Any


_LOGS: WeakKeyDictionary[ModuleType, Any] = WeakKeyDictionary()
_MADE: WeakKeyDictionary[ModuleType, ProcessRuntime] = WeakKeyDictionary()
"""Both by module, of which there is one for each TensorRT."""


def process_runtime(trt: ModuleType) -> ProcessRuntime:
    """The logger and the `Runtime` of a TensorRT, made at the first call.

    Args:
        trt: The module `tensorrt` or `tensorrt_rtx`.
    """
    if trt not in _MADE:
        log = process_log(trt)
        _MADE[trt] = ProcessRuntime(log, trt.Runtime(log))
    return _MADE[trt]


def process_log(trt: ModuleType) -> Any:
    """The logger of a TensorRT, made at the first call: a `trt.ILogger` that prints nothing of what it hears.

    Its `lines` are the last warnings and errors, its `errors` the last errors; whoever wants to know what was said to a
    call clears them before it.

    Args:
        trt: The module `tensorrt` or `tensorrt_rtx`.
    """
    if trt not in _LOGS:
        _LOGS[trt] = _log(trt)
    return _LOGS[trt]


def _log(trt: Any) -> Any:
    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: deque[str] = deque(maxlen=KEPT_LINES)
            self.errors: deque[str] = deque(maxlen=KEPT_LINES)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.WARNING:
                self.lines.append(message.strip())
            if severity <= trt.ILogger.Severity.ERROR:
                self.errors.append(message.strip())

        def clear(self) -> None:
            self.lines.clear()
            self.errors.clear()

    return Log()
