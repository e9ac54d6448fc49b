# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Tells people that a model is being loaded, which may take minutes."""

from __future__ import annotations

import threading
import time

from rclpy.impl.rcutils_logger import RcutilsLogger

from molmo_ros.node.health.memory import memory_use

INTERVAL = 5.0
"""How often the log says that loading goes on [s]."""


class LoadingLog:
    """Logs the begin, the progress and the end of what happens within `with`.

    Args:
        log: The node's logger.
        what: What is loaded.
    """

    def __init__(self, log: RcutilsLogger, what: str) -> None:
        self._log, self._what = log, what
        self._done = threading.Event()
        self._started, self._doing = time.monotonic(), ""

    def progress(self, text: str) -> None:
        """What is being done now, for the next line of the log."""
        self._doing = f", {text}"

    def __enter__(self) -> LoadingLog:
        self._log.info(f"loading {self._what}")
        threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._done.set()
        if kind is None:
            self._log.info(f"{self._what} is ready after {self._so_far()}")

    def _tick(self) -> None:
        while not self._done.wait(INTERVAL):
            self._log.info(f"still loading {self._what}: {self._so_far()}{self._doing}")

    def _so_far(self) -> str:
        return f"{time.monotonic() - self._started:.1f} s, {memory_use().resident / 1e6:.0f} MB in memory"
