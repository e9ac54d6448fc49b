# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Frames of a video at exact times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from molmo_ros.labelling.labelling_error import LabellingError, MissingExtraError

SEEK = 0.5
"""Where the next wanted frame is further on, the decoder jumps to the picture before it that stands by itself [s]."""


class VideoFrame(NamedTuple):
    """A frame that was wanted.

    Attributes:
        number: Its place among the wanted times.
        pixels: uint8 [h, w, 3] RGB; None where there is none.
        reason: Why there is none.
    """

    number: int
    pixels: np.ndarray | None
    reason: str = ""


def video_frames(
    path: Path, times: Sequence[float], tolerance: float, threads: int = 1
) -> Iterator[VideoFrame]:
    """The frames of a video at some times, each once, in order; of a damaged one those that can be decoded.

    Args:
        path: The video.
        times: Rising [s].
        tolerance: A frame may be so far from its time [s].
        threads: That decode.

    Raises:
        LabellingError: The video cannot be opened.
        MissingExtraError: PyAV is not installed.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise MissingExtraError("av") from error
    if not path.is_file():
        raise LabellingError(f"there is no video {path}")
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise LabellingError(f"{path} cannot be opened as a video: {_said(error)}") from error
    with container:
        if not container.streams.video:
            raise LabellingError(f"{path} holds no video")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = threads
        stream.codec_context.options = {"err_detect": "explode"}  # else what is damaged is made up
        yield from _VideoReader(container, stream, tolerance).frames(times)


class _VideoReader:
    """Decodes forward, and jumps over what nobody wants."""

    def __init__(self, container: Any, stream: Any, tolerance: float) -> None:
        self._container, self._stream, self._tolerance = container, stream, tolerance
        self._step = float(stream.time_base)
        self._decoded: Iterator[Any] = iter(())
        self._ahead: Any = None
        self._damage = ""

    def frames(self, times: Sequence[float]) -> Iterator[VideoFrame]:
        """See `video_frames`."""
        last: float | None = None
        for number, time in enumerate(times):
            if last is None or time - last > SEEK:
                self._jump(time)
            last = time
            frame = self._at(time)
            if frame is None:
                yield VideoFrame(number, None, self._damage or f"the video has no frame at {time:.4f} s")
                continue
            yield VideoFrame(number, frame.to_ndarray(format="rgb24"))

    def _jump(self, time: float) -> None:
        """To the last picture before a time that can be decoded by itself."""
        self._container.seek(max(0, round(time / self._step) - 1), stream=self._stream)
        self._decoded, self._ahead = self._decode(), None

    def _at(self, time: float) -> Any:
        """The frame at a time; None where there is none."""
        self._damage = ""
        while True:
            frame = self._ahead if self._ahead is not None else next(self._decoded, None)
            self._ahead = None
            if frame is None:
                return None
            shown = frame.pts * self._step
            if shown > time + self._tolerance:
                self._ahead = frame
                return None
            if shown >= time - self._tolerance:
                return frame

    def _decode(self) -> Iterator[Any]:
        """Frames in the order of their times, over packets that cannot be decoded."""
        import av

        packets, whole = self._container.demux(self._stream), True
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self._damage = f"the video cannot be read on: {_said(error)}"
                return
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                self._damage, whole = f"it cannot be decoded: {_said(error)}", False
                continue
            for frame in frames:
                whole = (whole or frame.key_frame) and not frame.is_corrupt
                if frame.pts is not None and whole:  # what builds on a damaged picture is damaged, too
                    yield frame


def _said(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
