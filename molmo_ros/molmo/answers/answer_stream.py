# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An answer while it is being generated: tokens to text to points, each handed out once it is complete."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, TypedDict

from molmo_ros.molmo.answer import Point
from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.pointing.points import ParsedPoints, PointStream
from molmo_ros.molmo.prompts.tokenizer import TextStream
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.scoring.confidence import Confidence

if TYPE_CHECKING:  # it imports torch
    from molmo_ros.molmo.running.choosing import Choice


class QueryArguments(TypedDict, total=False):
    """What every kind of query may be given besides its words, see `Molmo.point`."""

    options: GenerateOptions | None
    max_points: int | None
    cancel: threading.Event | None
    on_text: Callable[[str], None] | None
    on_point: Callable[[Point], None] | None


class AnswerStream:
    """Takes an answer's tokens one by one, or its text, once `start` has said what the answer is about.

    Attributes:
        text: The text so far.
        confidence: Scores the points; None leaves them without.
    """

    def __init__(
        self,
        *,
        label: str = "",
        max_points: int | None = None,
        on_text: Callable[[str], None] | None = None,
        on_point: Callable[[Point], None] | None = None,
    ) -> None:
        """Starts an answer.

        Args:
            label: Of points that the model has not labelled, or not yet.
            max_points: How many points are enough; None for all.
            on_text: Called with each piece of text.
            on_point: Called with each point.

        Raises:
            PromptError: `max_points` is not a whole number, or below 1.
        """
        if max_points is not None and not (isinstance(max_points, Integral) and max_points >= 1):
            raise PromptError(
                f"max_points is {max_points!r:.80}; it must be a whole number, at least 1, or None for all"
            )
        self.text = ""
        self._decoded: TextStream | None = None
        self._points: PointStream | None = None
        self._label, self._max_points = label, max_points
        self._on_text, self._on_point = on_text, on_point
        self._given_out = 0
        self.confidence: Confidence | None = None
        self._scores: list[float | None] = []

    def start(self, decoded: TextStream | None, points: PointStream) -> None:
        """Sets how tokens become text and text becomes points, before the first token.

        Args:
            decoded: Makes text of tokens; None where the text itself is fed.
            points: Reads the points in it.
        """
        self._decoded, self._points = decoded, points

    def feed(self, token_id: int, choice: Choice | None = None) -> bool:
        """Takes the next token; returns whether there are points enough.

        Args:
            token_id: The token.
            choice: What it was chosen from, for `confidence`; the decoder must not have seen it yet.

        Raises:
            ValueError: The answer has not started.
        """
        if self._decoded is None:
            raise ValueError("a token came before the answer has started")
        piece = self._decoded.feed(token_id)
        if self.confidence is not None and choice is not None:
            self.confidence.feed(choice, piece)
        return self.take(piece)

    def take(self, piece: str) -> bool:
        """Takes the next piece of text; returns whether there are points enough."""
        before = len(self.text)
        if piece:
            self.text += piece
            if self._on_text is not None:
                self._on_text(piece)
        for end, char in enumerate(piece, before + 1):  # one by one, to know where each point ends
            for point in self._points.feed(char) if self._points is not None else ():
                self._score(end, 1)
                if not self._enough():
                    self._give_out(self._finished(point, self._scores[-1]))
        return self._enough()

    def finish(self, whole: bool = True) -> ParsedPoints:
        """Ends the answer and returns its points, at most `max_points`.

        Args:
            whole: Whether the model ended it.
        """
        if self._points is None:
            return ParsedPoints()
        if self._decoded is not None:
            self.take(self._decoded.finish())
        parsed = self._points.finish(self._label, whole)
        self._score(len(self.text), len(parsed.points) - len(self._scores))
        points = [self._finished(*one) for one in zip(parsed.points, self._scores, strict=True)]
        points = points[: self._max_points]
        for point in points[self._given_out :]:  # completed by the end of the text
            self._give_out(point)
        return replace(parsed, points=tuple(points))

    def _score(self, end: int, count: int) -> None:
        """Scores points that are complete with the first `end` characters of the text."""
        self._scores += [self.confidence.point(end) if self.confidence else None for _ in range(count)]

    def _enough(self) -> bool:
        return self._max_points is not None and self._given_out >= self._max_points

    def _finished(self, point: Point, confidence: float | None) -> Point:
        return replace(point, label=point.label or self._label, confidence=confidence)

    def _give_out(self, point: Point) -> None:
        self._given_out += 1
        if self._on_point is not None:
            self._on_point(point)
