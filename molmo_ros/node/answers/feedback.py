# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The pieces of an answer while it is made, with the places of its points."""

from __future__ import annotations

from dataclasses import replace

from molmo_ros.molmo.answer import Point
from molmo_ros.node.answers.locator import Locator
from molmo_ros.node.answers.sight import Sight
from molmo_ros.node.records.located_point import LocatedPoint
from molmo_ros.node.records.progress import Progress
from molmo_ros.node.records.request import Request


class Feedback:
    """Hands the pieces of one request's answer on: of its texts, whose answers are made side by side.

    Args:
        request: Whose.
        sight: The frame it is about.
        locator: Gives points their places.
        min_confidence: Points below it are left out.
    """

    def __init__(self, request: Request, sight: Sight, locator: Locator, min_confidence: float) -> None:
        self._request, self._sight, self._locator, self._minimum = request, sight, locator, min_confidence
        self._pieces: list[_Piece] = []
        self._points: list[LocatedPoint] = []

    def of(self, number: int, label: str) -> _Piece:
        """What hears of the text of that number, each in its turn.

        Args:
            number: From 0.
            label: What the model is asked to point at; empty for a question.
        """
        assert number == len(self._pieces)
        self._pieces.append(_Piece(self, label))
        return self._pieces[-1]

    def tell(self, label: str, point: Point | None = None) -> None:
        """Something was said, in words or as a point."""
        if self._request.on_progress is None:
            return
        if point is not None:
            if self._minimum > 0 and (point.confidence or 0) < self._minimum:
                return
            self._points += self._locator.locate([replace(point, label=label or point.label)])
        placed = any(one.xyz is not None for one in self._points)
        self._request.on_progress(
            Progress(
                self._sight.frame.message.header,
                self._sight.name,
                "\n".join(filter(None, (piece.text for piece in self._pieces))),
                tuple(self._points),
                self._locator.frame_id if placed else "",
            )
        )


class _Piece:
    """What was said so far to one text."""

    def __init__(self, feedback: Feedback, label: str) -> None:
        self.text, self._feedback, self._label = "", feedback, label

    def on_text(self, piece: str) -> None:
        self.text += piece
        self._feedback.tell(self._label)

    def on_point(self, point: Point) -> None:
        self._feedback.tell(self._label, point)
