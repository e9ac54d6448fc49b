# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The recent frames of one camera, kept so that an answer about an old frame can be followed until now."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

from molmo_ros.tracking.gray_frame import MAX_WIDTH, GrayFrame


class FrameHistory:
    """The newest frames, bounded in time and in bytes; the newest one always stays. Thread-safe."""

    def __init__(self, span: float = 4.0, max_bytes: int = 64 * 2**20, max_width: int = MAX_WIDTH) -> None:
        """
        Args:
            span: How much older than the newest a frame may be [s].
            max_bytes: Of all frames together.
            max_width: Frames are scaled down to it [px].

        Raises:
            ValueError: One of them is not positive.
        """
        for name, value in (("span", span), ("max_bytes", max_bytes), ("max_width", max_width)):
            if not value > 0:
                raise ValueError(f"{name} is {value}, must be positive")
        self._span, self._max_bytes, self._max_width = round(span * 1e9), max_bytes, max_width
        self._lock = threading.Lock()
        self._frames: deque[GrayFrame] = deque()
        self._bytes = 0

    def add(self, stamp: int, image: np.ndarray) -> GrayFrame:
        """Keeps a scaled copy of a frame, and returns it.

        A stamp that is not newer than the last one means that the camera's clock went back (or a recording began
        anew): what was kept is forgotten, since it no longer leads to now.

        Args:
            stamp: When it was taken [ns].
            image: uint8 [h, w, 3] RGB or [h, w] grey.
        """
        frame = GrayFrame.from_image(stamp, image, self._max_width)
        with self._lock:
            if self._frames and stamp <= self._frames[-1].stamp:
                self._forget_all()
            self._frames.append(frame)
            self._bytes += frame.nbytes
            oldest = stamp - self._span
            while len(self._frames) > 1 and (self._frames[0].stamp < oldest or self._bytes > self._max_bytes):
                self._bytes -= self._frames.popleft().nbytes
        return frame

    def after(self, stamp: int) -> list[GrayFrame]:
        """All kept frames newer than a stamp [ns], oldest first."""
        with self._lock:
            return [frame for frame in self._frames if frame.stamp > stamp]

    def clear(self) -> None:
        """Forgets every frame."""
        with self._lock:
            self._forget_all()

    def _forget_all(self) -> None:
        self._frames.clear()
        self._bytes = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._frames)

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        with self._lock:
            return self._bytes
