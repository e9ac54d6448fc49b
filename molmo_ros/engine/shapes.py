# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How large an engine's inputs may be: what it was built for, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from molmo_ros.engine.errors import EngineMismatchError, UnsupportedBuildError
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.images.crop_budget import tiling_cost
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.tiling import NO_TILES
from molmo_ros.molmo.running.verify_widths import VERIFY_WIDTHS

TEXT_ROOM = 192
"""Tokens, BOS and words, that go with the largest image in one pass."""
MAX_LOGITS = 64
"""Tokens that one pass scores: of a sentence that is verified, or one of each of several prompts."""
MOST_TILES = 1000
"""The largest `max_crops` that there is."""
ROUND = 64
"""Sizes are rounded up to multiples of this."""


@dataclass(frozen=True)
class Shapes:
    """The largest inputs of an engine.

    Attributes:
        max_crops: Tiles of one image, the global view not counted.
        max_context: Slots of the KV cache: prompt and answer together [tokens].
        max_prompt: Tokens of one pass of the decoder. All tokens of Molmo2's images see each other, so they must go
            in one pass.
        max_image_tokens: Image features of one image.
        slots: Patches of one image feature; None for any number.
        max_logits: Tokens of one pass that get scores.
    """

    max_crops: int
    max_context: int
    max_prompt: int
    max_image_tokens: int
    slots: int | None
    max_logits: int = MAX_LOGITS

    @classmethod
    def of_context(cls, max_context: int) -> Shapes:
        """What graphs take whose only fixed size is the KV cache, as in onnxruntime."""
        return cls(MOST_TILES, max_context, max_context, MOST_TILES * max_context, None, max_context)

    @classmethod
    def of(
        cls, config: MolmoConfig, images: ImageProcessorConfig, max_crops: int | None, max_context: int | None
    ) -> Shapes:
        """What a model needs for images of up to `max_crops` tiles, however they are laid out.

        Args:
            config: The model's shape.
            images: Its image processing.
            max_crops: None for the trained limit.
            max_context: None for twice the largest prompt.

        Raises:
            UnsupportedBuildError: The context is smaller than the largest image's prompt, or larger than the model's.
        """
        most = images.max_crops if max_crops is None else max_crops
        images.with_max_crops(most)  # refuses what is no such number
        largest = max(tiling_cost(images, tiling).tokens for tiling in _tilings(most)) + TEXT_ROOM
        limit = config.decoder.max_positions
        context = min(2 * _rounded(largest), limit) if max_context is None else max_context
        if not (isinstance(context, int) and 1 <= context <= limit):
            raise UnsupportedBuildError(
                f"max_context is {context!r:.80}; the model's own context ends at {limit} tokens"
            )
        if context < largest:
            raise UnsupportedBuildError(
                f"max_context {context} is too small: an image of {most} tiles and {TEXT_ROOM} tokens of words "
                f"need {largest}; give more context or fewer max_crops"
            )
        return cls(
            max_crops=most,
            max_context=context,
            max_prompt=min(_rounded(largest), context),
            max_image_tokens=max(image_features(images, tiling) for tiling in _tilings(most)),
            slots=config.connector.pool[0] * config.connector.pool[1],
        )

    @property
    def fixed_widths(self) -> tuple[int, ...]:
        """Tokens of the passes that are recorded beside those of one token, as far as an engine takes them."""
        return tuple(width for width in VERIFY_WIDTHS if width <= min(self.max_prompt, self.max_logits))

    def check_model(self, config: MolmoConfig, rebuild: str) -> None:
        """Makes sure that a model has such inputs.

        Args:
            config: The model's shape.
            rebuild: The command that builds the engine again, for the message.

        Raises:
            EngineMismatchError: Its context is shorter, or its image features are made of other numbers of patches.
        """
        most, slots = config.decoder.max_positions, config.connector.pool[0] * config.connector.pool[1]
        if self.max_context > most:
            raise EngineMismatchError(
                f"the engine is of {self.max_context} tokens of context; the model ends at {most}. Build it again: "
                f"{rebuild}"
            )
        if self.slots not in (None, slots):
            raise EngineMismatchError(
                f"the engine takes image features of {self.slots} patches; the model's have {slots}. Build it again: "
                f"{rebuild}"
            )


def _rounded(size: int) -> int:
    return math.ceil(size / ROUND) * ROUND


def _tilings(most: int) -> Iterator[tuple[int, int]]:
    """The widest tiling of each height: none of up to `most` tiles makes more tokens."""
    yield NO_TILES
    for rows in range(1, most + 1):
        yield rows, most // rows


def image_features(images: ImageProcessorConfig, tiling: tuple[int, int]) -> int:
    """Image features of an image: the cells of the global view, and those of the mosaic of tiles."""
    grid = images.grid
    rows, columns = grid.pooled((grid.patches, grid.patches))
    cells = rows * columns
    if tiling != NO_TILES:
        rows, columns = grid.pooled(grid.mosaic(tiling))
        cells += rows * columns
    return cells
