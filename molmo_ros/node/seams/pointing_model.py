# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The model as the node sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from molmo_ros.molmo.answer import Answer, Point
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

    def point(
        self,
        image: EncodedImage,
        label: str,
        /,
        *,
        options: GenerateOptions,
        max_points: int | None,
        cancel: threading.Event,
        on_text: Callable[[str], None],
        on_point: Callable[[Point], None],
    ) -> Answer:
        """Point at every thing that the label names; all limits as of `Molmo.point`."""

    def count(
        self,
        image: EncodedImage,
        label: str,
        /,
        *,
        options: GenerateOptions,
        cancel: threading.Event,
        on_text: Callable[[str], None],
        on_point: Callable[[Point], None],
    ) -> Answer:
        """Count the things that the label names."""

    def ask(
        self,
        image: EncodedImage,
        question: str,
        /,
        *,
        options: GenerateOptions,
        cancel: threading.Event,
        on_text: Callable[[str], None],
        on_point: Callable[[Point], None],
    ) -> Answer:
        """Answer a question."""


class OptionsMaker(Protocol):
    """Makes the limits of one answer."""

    def __call__(self, *, max_new_tokens: int | Literal["auto"], time_limit: float | None) -> GenerateOptions:
        """See `GenerateOptions`."""


LoadedModel = tuple[PointingModel, OptionsMaker]
ModelFactory = Callable[[ModelChoice], LoadedModel]
"""Loads the model that was chosen."""
