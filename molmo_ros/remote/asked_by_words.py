# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The questions of `Molmo`, for whatever answers several of them about one image."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from molmo_ros.molmo.answer import Answer, Asked
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.families.wording import WORDING_MOLMO2, About, Wording
from molmo_ros.molmo.prompts.prompt_text import describe_prompt
from molmo_ros.molmo.running.generation import GenerateOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from molmo_ros.molmo.answers.answer_stream import QueryArguments

Outcomes = list[Answer | Exception]
"""Of each question its answer, or why there is none."""


class AskedByWords:
    """Point, count, ask and describe, by way of `answers`."""

    @property
    def wording(self) -> Wording:
        """The words that the model is asked in."""
        return WORDING_MOLMO2

    def answers(
        self,
        image: Any,
        queries: Sequence[ImageQuery],
        on_answer: Callable[[int, Answer | Exception], None] | None = None,
    ) -> Outcomes:
        """See `Molmo.answers`."""
        raise NotImplementedError

    def point(self, image: Any, label: str | Sequence[str], **limits: Unpack[QueryArguments]) -> Answer:
        """See `Molmo.point`; of several labels, the points that the model does not label have all of them."""
        return self._one(image, ImageQuery("", Asked.POINTS, one_label(label)), limits)

    def count(self, image: Any, label: str | Sequence[str], **limits: Unpack[QueryArguments]) -> Answer:
        """See `Molmo.count`."""
        return self._one(image, ImageQuery("", Asked.COUNT, one_label(label)), limits)

    def describe(self, image: Any, **limits: Unpack[QueryArguments]) -> Answer:
        """See `Molmo.describe`."""
        return self._one(image, ImageQuery(describe_prompt(self.wording, about(image)), Asked.WORDS), limits)

    def ask(self, image: Any, question: str, **limits: Unpack[QueryArguments]) -> Answer:
        """See `Molmo.ask`."""
        return self._one(image, ImageQuery(question, Asked.WORDS), limits)

    def query(self, image: Any, text: str, **limits: Unpack[QueryArguments]) -> Answer:
        """See `Molmo.query`."""
        return self._one(image, ImageQuery(text, Asked.ANYTHING), limits)

    def query_many(
        self,
        image: Any,
        texts: Sequence[str],
        *,
        options: GenerateOptions | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Answer]:
        """See `Molmo.query_many`.

        Raises:
            PromptError: `texts` is a single text, or none.
        """
        if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
            raise PromptError(f"texts is {texts!r:.80}; query_many takes a list of texts")
        outcomes = self.answers(image, [ImageQuery(text, options=options, cancel=cancel) for text in texts])
        return [_raised(outcome) for outcome in outcomes]

    def track(self, video: Any, label: str | Sequence[str], **limits: Unpack[QueryArguments]) -> Answer:
        """Not behind a server.

        Raises:
            PromptError: Always.
        """
        raise PromptError(
            "engine remote sends pictures, no videos; a model of this machine follows things through one"
        )

    def _one(self, image: Any, query: ImageQuery, limits: QueryArguments) -> Answer:
        (outcome,) = self.answers(image, [replace(query, **limits)])
        return _raised(outcome)


def about(image: Any) -> About:
    """What a prompt with these pictures holds."""
    pictures = image if isinstance(image, (list, tuple)) else getattr(image, "pixels", (image,))
    return "images" if not isinstance(image, np.ndarray) and len(pictures) > 1 else "image"


def one_label(label: str | Sequence[str]) -> str:
    """Several labels as one, as the prompts of all models join them: "cups, plates and forks".

    Raises:
        PromptError: No label, an empty one, or one that is not text.
    """
    several = isinstance(label, Iterable) and not isinstance(label, (str, bytes))
    labels: list[Any] = list(label) if several else [label]
    if not all(isinstance(one, str) for one in labels):
        raise PromptError(f"the label is {label!r:.80}; it must be text, or several texts")
    found = [one.strip() for one in labels]
    if not found or "" in found:
        raise PromptError(f"the label is empty: {label!r:.80}")
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)


def _raised(outcome: Answer | Exception) -> Answer:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
