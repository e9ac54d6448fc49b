# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A request while the model is asked: a query for each of its texts, and what came of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from molmo_ros.molmo.answer import Answer, Asked
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.answers.joined_answer import joined
from molmo_ros.molmo.pointing.moved_points import Move
from molmo_ros.molmo.prompts.prompt_text import place_label
from molmo_ros.molmo.status import Status
from molmo_ros.node.answers.feedback import Feedback
from molmo_ros.node.answers.locator import Locator
from molmo_ros.node.records.query import Kind
from molmo_ros.node.records.request import QueryLimits, Request
from molmo_ros.node.seams.pointing_model import OptionsMaker


class AskedRequest:
    """A request from the moment the work on it begins.

    Args:
        request: Whose texts the model is asked.

    Attributes:
        request: The same.
        start_age: Age of its frame when the work on it began [s].
        locator: Gives its points their places; there once `queries` was called.
        answered_ms: How long the model took for all of its texts [ms].
        settled: Whether it has its outcome.
    """

    def __init__(self, request: Request) -> None:
        self.request, self.start_age, self.answered_ms, self.settled = request, 0.0, 0.0, False
        self.locator: Locator | None = None
        self._started, self._began = time.perf_counter(), time.monotonic()
        self._asked = self._started
        self._outcomes: dict[int, Answer | Exception] = {}

    @property
    def took_ms(self) -> float:
        """How long it has taken so far [ms]."""
        return (time.perf_counter() - self._started) * 1e3

    @property
    def complete(self) -> bool:
        """Whether each of its texts has an answer."""
        return len(self._outcomes) == len(self.request.query.texts)

    def queries(
        self,
        locator: Locator,
        feedback: Feedback,
        limits: QueryLimits,
        options: OptionsMaker,
        moves: Sequence[Move] = (),
    ) -> list[ImageQuery]:
        """What the model is to be asked, a query a text; none where nothing is left to ask.

        Args:
            locator: Gives points their places.
            feedback: Hears of pieces of the answers.
            limits: In force.
            options: Makes the model's.
            moves: Where points of the last answer are seen now, see `ImageQuery`.
        """
        self.locator, self._outcomes, self._asked = locator, {}, time.perf_counter()
        cancel, left = self.request.cancel, None
        if limits.time_limit > 0:
            left = self._began + limits.time_limit - time.monotonic()
        unasked: Answer | None = None
        if cancel.is_set():
            unasked = Answer(Status.CANCELLED)
        elif left is not None and left <= 0:
            error = "time_limit ended the answer before it began"
            unasked = Answer(Status.TIMEOUT, limit="time_limit", error=error)
        if unasked is not None:
            self._outcomes = dict.fromkeys(range(len(self.request.query.texts)), unasked)
            return []
        most = options(max_new_tokens=limits.max_new_tokens or "auto", time_limit=left)
        queries = []
        for number, text in enumerate(self.request.query.texts):
            piece = feedback.of(number, text if self.request.query.points else "")
            words, asked, label = _worded(self.request.query.kind, text)
            points = limits.max_points if asked is Asked.POINTS else 0  # a count is never stopped
            queries.append(
                ImageQuery(
                    words, asked, label, most, points or None, cancel, piece.on_text, piece.on_point, moves
                )
            )
        return queries

    def take(self, number: int, outcome: Answer | Exception) -> None:
        """What came of the text of that number."""
        self._outcomes[number] = outcome
        self.answered_ms = (time.perf_counter() - self._asked) * 1e3

    def answer(self) -> Answer:
        """One answer to all texts, in their order.

        Raises:
            Exception: What the first one that failed did.
        """
        answers, query = [], self.request.query
        for number, text in enumerate(query.texts):
            outcome = self._outcomes[number]
            if isinstance(outcome, Exception):
                raise outcome
            answers.append((text if query.points else "", outcome))
        return joined(answers)


def _worded(kind: Kind | None, text: str) -> tuple[str, Asked, str]:
    """What is sent as it is, what is asked, and the label that it is asked for."""
    assert kind is not None  # those that were refused do not come here
    if kind is Kind.COUNT:
        return "", Asked.COUNT, text
    if kind is Kind.ASK:
        return text, Asked.WORDS, ""
    return "", Asked.POINTS, place_label(text) if kind is Kind.PLACE else text
