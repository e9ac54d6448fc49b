# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Prompts as token ids: the images' tokens, and what stands around the user's text.

Sources: hub preprocessing_molmo.py (0924) and processing_molmo2.py (Molmo2, MolmoPoint).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.families.family import PromptStyle, Special
from molmo_ros.molmo.families.wording import About
from molmo_ros.molmo.images.video_config import VideoConfig
from molmo_ros.molmo.prompts.clean_text import clean_text
from molmo_ros.molmo.prompts.tokenizer import Tokenizer

LONGEST_TOKEN = 32
"""Characters per token [1] beyond which a text is refused without tokenising it."""


class Grids(Protocol):
    """What a processed image tells about its tokens; `image_processor.ProcessedImage` is one."""

    @property
    def low_res_grid(self) -> tuple[int, int]:
        """Pooled tokens (rows, columns) of the global view."""

    @property
    def high_res_grid(self) -> tuple[int, int]:
        """Pooled tokens (rows, columns) of the tiles' mosaic."""


@dataclass(frozen=True)
class Prefix:
    """The part of a prompt that depends on the images alone, and so can be computed once for many queries.

    Attributes:
        ids: int64 [n], BOS and the tokens of the images.
        is_patch: Boolean [n], tokens that an image feature is added to, in the features' order.
        is_image: Boolean [n], patch tokens and their separators (the block that Molmo2 attends to both ways).
        about: What it holds.
        times: The moments of a video's frames [s]; None for images.
    """

    ids: np.ndarray
    is_patch: np.ndarray
    is_image: np.ndarray
    about: About = "image"
    times: tuple[float, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)


def image_layout(style: PromptStyle, image: Grids, low_res_columns: bool) -> list[str]:
    """The names of one image's tokens: the global view, then the mosaic of tiles, both row by row.

    Args:
        style: The family's.
        image: The grids of pooled tokens.
        low_res_columns: Whether rows of the global view end in a column token
            (`ImageProcessorConfig.low_res_columns`); rows of the tiles always do.
    """
    (low_rows, low_columns), (high_rows, high_columns) = image.low_res_grid, image.high_res_grid
    low_row = [style.low_res_patch] * low_columns + ["<im_col>"] * low_res_columns
    high_row = ["<im_patch>"] * high_columns + ["<im_col>"]
    return [
        style.low_res_start,
        *low_row * low_rows,
        "<im_end>",
        "<im_start>",
        *high_row * high_rows,
        "<im_end>",
    ]


def frame_layout(video: VideoConfig, image: Grids) -> list[str]:
    """The names of one video frame's tokens, row by row."""
    rows, columns = image.low_res_grid
    return [video.start, *(["<im_patch>"] * columns + ["<im_col>"] * video.columns) * rows, video.end]


class PromptBuilder:
    """Builds the token sequences of one checkpoint.

    A whole prompt is `prefix(images).ids` followed by `query(text)`:

        molmo    [BOS] image " User: " text " Assistant:"
        molmo2   [BOS] image <|im_start|> "user\\n" text <|im_end|> "\\n" <|im_start|> "assistant\\n"

    with "Image 1", "Image 2", … before the images of Molmo2 where there are several, and with "0.0 ", " 0.5 ", …
    before the frames of a video, their times in seconds.
    """

    def __init__(
        self, tokenizer: Tokenizer, style: PromptStyle, *, low_res_columns: bool, max_tokens: int
    ) -> None:
        """Looks up the style's special tokens.

        Args:
            tokenizer: The checkpoint's.
            style: The layout, of the checkpoint's family.
            low_res_columns: See `image_layout`.
            max_tokens: The model's context, images, text and answer together.

        Raises:
            CheckpointError: The tokenizer lacks a special token of the style.
        """
        tokenizer.require(style.special_tokens)
        self._tokenizer, self._style, self._low_res_columns = tokenizer, style, low_res_columns
        self.max_tokens = max_tokens

    def check_count(self, images: int) -> None:
        """Refuses a number of images that no prompt can have.

        Raises:
            PromptError: No image, or several for a family that takes one.
        """
        if not images:
            raise PromptError("a prompt needs an image")
        if images > 1 and not self._style.many_images:
            raise PromptError(f"{images} images: models of the 0924 family take one; Molmo2 takes several")

    def prefix(self, images: Sequence[Grids]) -> Prefix:
        """BOS and the tokens of the images.

        Raises:
            PromptError: No image, several for a family that takes one, or more than the context holds.
        """
        self.check_count(len(images))
        titles = [f"Image {number}" if len(images) > 1 else "" for number in range(1, len(images) + 1)]
        layouts = [image_layout(self._style, image, self._low_res_columns) for image in images]
        return self._prefix("images" if len(images) > 1 else "image", titles, layouts)

    def video_prefix(self, frames: Sequence[Grids], times: Sequence[float], video: VideoConfig) -> Prefix:
        """BOS and the tokens of a video's frames, each with its time before it.

        Args:
            frames: The processed frames.
            times: The moment of each [s], see `VideoConfig.check_times`.
            video: The checkpoint's.

        Raises:
            CheckpointError: The tokenizer lacks the tokens around a frame.
            PromptError: A family that takes no video, or more frames than the context holds.
        """
        if not self._style.many_images:
            raise PromptError("models of the 0924 family take one image, no video; Molmo2 and MolmoPoint do")
        self._tokenizer.require((video.start, video.end))
        titles = [f"{' ' * (number > 0)}{time:.1f} " for number, time in enumerate(times)]
        return self._prefix("video", titles, [frame_layout(video, frame) for frame in frames], tuple(times))

    def _prefix(
        self,
        about: About,
        titles: Sequence[str],
        layouts: Sequence[Sequence[str]],
        times: tuple[float, ...] | None = None,
    ) -> Prefix:
        """BOS, and the tokens of pictures with ordinary text before each."""
        ids, is_image, fitting = [self._tokenizer.bos_id], [False], 0
        id_of = {name: self._tokenizer.special_id(name) for name in set().union(*layouts)}
        for title, names in zip(titles, layouts, strict=True):
            words = self._tokenizer.encode(title)
            ids += words
            ids += [id_of[name] for name in names]
            is_image += [False] * len(words) + [True] * len(names)
            fitting += len(ids) < self.max_tokens
        if len(ids) >= self.max_tokens:
            what = {"image": "the image has", "images": "images have", "video": "frames have"}[about]
            several = f"{len(layouts)} {what}" if len(layouts) > 1 else what
            hold = f"; it holds the first {fitting} of them" if len(layouts) > 1 else ""
            raise PromptError(
                f"{several} {len(ids)} image tokens, which fill the model's context of {self.max_tokens} tokens"
                f"{hold}"
            )
        patches = [self._tokenizer.special_id(name) for name in ("<im_patch>", self._style.low_res_patch)]
        array = np.array(ids, dtype=np.int64)
        return Prefix(array, np.isin(array, patches), np.array(is_image), about, times)

    def query(self, text: str, prefix_length: int) -> np.ndarray:
        """The tokens after the images, int64 [n].

        Args:
            text: What the user says; see `clean_text` for what becomes of control characters. Spellings of
                special tokens stay ordinary text.
            prefix_length: Tokens of the prefix, for the limit.

        Raises:
            PromptError: It is not text, nothing is left of it, or the prompt would fill the model's context.
        """
        if not isinstance(text, str):
            raise PromptError(f"the query is {text!r:.80}; it must be text")
        cleaned = clean_text(text)
        if not cleaned:
            raise PromptError(f"the query is empty: {text[:40]!r}")
        room = self.max_tokens - prefix_length - 1
        if len(cleaned) > LONGEST_TOKEN * self.max_tokens:
            raise self._too_long(cleaned, "too many to tokenise", room)
        ids = self._framed(cleaned)
        if len(ids) > room:
            raise self._too_long(cleaned, f"{len(ids)} tokens", room)
        return np.array(ids, dtype=np.int64)

    def _framed(self, text: str) -> list[int]:
        ids = []
        for part in self._style.turn:
            if isinstance(part, Special):
                ids.append(self._tokenizer.special_id(part))
            else:
                ids += self._tokenizer.encode(part.replace("{text}", text))
        return ids

    def _too_long(self, text: str, size: str, room: int) -> PromptError:
        return PromptError(
            f"the query has {len(text)} characters ({size}); the model's context of {self.max_tokens} tokens "
            f"leaves {max(room, 0)} for it beside the image"
        )
