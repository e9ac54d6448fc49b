# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Depth images that were made for pictures, kept for the next query about the same picture."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

KEPT = 2
"""The frame that is asked about, and the one that points are followed into."""


class RegisteredDepth:
    """Several queries are asked about one frame; its depth is registered once. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[tuple[Any, Hashable, np.ndarray]] = deque(maxlen=KEPT)

    def of(self, message: Any, circumstances: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """What `make` returned for this very message under equal circumstances; made now where it was not yet."""
        with self._lock:
            for before, under, depth in self._kept:
                if before is message and under == circumstances:
                    return depth
            depth = make()
            self._kept.append((message, circumstances, depth))
            return depth
