# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The constants of a checkpoint's video processing: each frame is one small picture with its time before it.

Frames are stretched to one crop and never tiled; more patches are pooled into a token than for images.
Source: hub video_processing_molmo2.py and processing_molmo2.py; transformers' own Molmo2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from molmo_ros.molmo.errors import CheckpointError, PromptError
from molmo_ros.molmo.images.hub_settings import read_part, whole_number
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.json_file import read_json

POOL = (3, 3)
"""Patches per token (rows, columns) of the released models' frames."""
LATEST = 1e6
"""Moments of a video are before this [s]; larger ones are times of another clock."""


@dataclass(frozen=True)
class VideoConfig:
    """The constants of one checkpoint's video processing.

    Attributes:
        frame: How one frame is processed; without tiles.
        max_frames: Most frames of one video; None where only the model's context limits them.
        start: The token before a frame's patches.
        end: The token after them.
        columns: Whether rows of a frame end in a column token.
    """

    frame: ImageProcessorConfig
    max_frames: int | None = None
    start: str = "<frame_start>"
    end: str = "<frame_end>"
    columns: bool = False

    def __post_init__(self) -> None:
        if self.max_frames is not None and self.max_frames < 1:
            raise CheckpointError(f"num_frames is {self.max_frames}; it must be at least 1.")

    @classmethod
    def of_images(cls, images: ImageProcessorConfig) -> VideoConfig:
        """What the models do whose files say nothing about video, given how they process images."""
        return cls(replace(images, style=STRETCHED, max_crops=0, pool=POOL, low_res_columns=False))

    @classmethod
    def from_folder(cls, folder: str | Path, images: ImageProcessorConfig) -> VideoConfig:
        """Reads `video_preprocessor_config.json`, or the "video_processor" part of `processor_config.json`.

        Absent keys are as in `of_images`; `use_frame_special_tokens` then is true.

        Args:
            folder: Holds them, in Hugging Face layout.
            images: How it processes images.

        Raises:
            CheckpointError: Settings that are not implemented.
        """
        folder = Path(folder)
        processor = read_json(folder / "processor_config.json")
        settings = read_json(folder / "video_preprocessor_config.json") or read_part(
            processor, "video_processor"
        )
        own_tokens = processor.get("use_frame_special_tokens")
        start, end = ("<im_start>", "<im_end>") if own_tokens is False else (cls.start, cls.end)
        try:
            frame = replace(cls.of_images(images).frame, **STRETCHED.read(settings))
            most = settings.get("num_frames")
            columns = bool(processor.get("video_use_col_tokens"))
            return cls(frame, None if most is None else whole_number("num_frames", most), start, end, columns)
        except CheckpointError:
            raise
        except (AttributeError, TypeError, ValueError, KeyError, IndexError, ArithmeticError) as error:
            raise CheckpointError(f"Video settings in {folder} cannot be read: {error!r:.200}.") from error

    def check_times(self, frames: int, times: Sequence[float]) -> tuple[float, ...]:
        """The moments of the frames of one video.

        Args:
            frames: How many frames there are.
            times: A moment for each, in seconds from the start of the video. Frames need different tenths of a
                second: in the prompt and in answers a frame is known by its time with one decimal place.

        Raises:
            PromptError: No frames, more than the model was made for, not one time for each, or times that are not
                numbers, not finite, negative, 1e6 s or later, not rising, or within the same tenth of a second.
        """
        if not frames:
            raise PromptError("a video needs at least one frame")
        if self.max_frames is not None and frames > self.max_frames:
            raise PromptError(f"{frames} frames; this model takes at most {self.max_frames} of one video")
        try:
            moments = tuple(float(time) for time in times)
        except (TypeError, ValueError, OverflowError) as error:
            raise PromptError(
                f"times is {times!r:.80}; it must be a number of seconds for each frame"
            ) from error
        if len(moments) != frames:
            raise PromptError(f"{frames} frames and {len(moments)} times; each frame needs one")
        for number, moment in enumerate(moments):
            if not math.isfinite(moment) or moment < 0:
                raise PromptError(f"times[{number}] is {moment} s; times must be finite and not negative")
            if moment >= LATEST:
                raise PromptError(
                    f"times[{number}] is {moment} s; times count from the start of the video, and must be below "
                    f"{LATEST:g} s"
                )
            if not number:
                continue
            before = moments[number - 1]
            if moment <= before:
                raise PromptError(
                    f"times[{number}] is {moment} s after {before} s; times must rise from frame to frame"
                )
            if f"{moment:.1f}" == f"{before:.1f}":
                raise PromptError(
                    f"times[{number - 1}] and times[{number}] are {before} s and {moment} s, both {moment:.1f} s to "
                    "the model; frames need different tenths of a second"
                )
        return moments
