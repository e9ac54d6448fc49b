# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What anyone on the network made a callback raise: told, counted, and survived."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable

from molmo_ros.node.seams.node_log import NodeLog

LONGEST_TEXT = 500
"""Longer texts are cut [characters]."""
TOLD_EVERY = 10.0
"""How often the log tells of each topic, service or action [s]; diagnostics count all of them."""


class CallbackErrors:
    """Takes errors from any thread.

    Args:
        log: The node's logger.
        count: Takes the last one's text; returns how many there were.
    """

    def __init__(self, log: NodeLog, count: Callable[[str], int]) -> None:
        self._log, self._count = log, count
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}

    def record(self, purpose: str, error: Exception) -> str:
        """A callback has raised.

        Args:
            purpose: What it was for, such as `topic /clock`: one of a few, which are the node's own.
            error: What it raised.

        Returns:
            The error in one line, without what a terminal would act upon.
        """
        text = "".join(
            one if one.isprintable() else " " for one in f"{type(error).__name__}: {error}"[:LONGEST_TEXT]
        )
        count = self._count(f"{purpose}: {text}")
        with self._lock:
            now = time.monotonic()
            due = now >= self._told.get(purpose, -TOLD_EVERY) + TOLD_EVERY
            if due:
                self._told[purpose] = now
        if due:
            self._log.error(f"{purpose}: {text} (the node goes on; {count} such errors so far)")
            self._log.debug("".join(traceback.format_exception(error)))
        return text
