# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The model as the node sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.node.records.model_choice import ModelChoice

if TYPE_CHECKING:  # they import torch
    from molmo_ros.molmo.answers.encoded_image import EncodedImage
    from molmo_ros.molmo.running.generation import GenerateOptions


class PointingModel(Protocol):
    """What is used of a Molmo. For one thread."""

    def limit_crops(self, max_crops: int | None, latency_target: float | None, /) -> None:
        """How finely the next images are looked at: most tiles, and how long a query should take [s]."""

    def encode(self, image: np.ndarray, /, *, view: str) -> EncodedImage:
        """Everything that depends on the image alone, uint8 [h, w, 3] RGB, of the camera of that name."""

    def answers(
        self,
        image: EncodedImage,
        queries: Sequence[ImageQuery],
        on_answer: Callable[[int, Answer | Exception], None],
        /,
    ) -> object:
        """Answers several queries about one image together; see `Molmo.answers`."""


class OptionsMaker(Protocol):
    """Makes the limits of one answer."""

    def __call__(self, *, max_new_tokens: int | Literal["auto"], time_limit: float | None) -> GenerateOptions:
        """See `GenerateOptions`."""


LoadedModel = tuple[PointingModel, OptionsMaker]
ModelFactory = Callable[[ModelChoice], LoadedModel]
"""Loads the model that was chosen."""
