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
    """Hands the pieces of one request's answer on.

    Args:
        request: Whose.
        sight: The frame it is about.
        locator: Gives points their places.
        min_confidence: Points below it are left out.

    Attributes:
        label: What the model is asked to point at just now; empty for a question.
    """

    def __init__(self, request: Request, sight: Sight, locator: Locator, min_confidence: float) -> None:
        self.label = ""
        self._request, self._sight, self._locator, self._minimum = request, sight, locator, min_confidence
        self._text = ""
        self._points: list[LocatedPoint] = []

    def on_text(self, piece: str) -> None:
        self._text += piece
        self._tell()

    def on_point(self, point: Point) -> None:
        if self._request.on_progress is None or (
            self._minimum > 0 and (point.confidence or 0) < self._minimum
        ):
            return
        labelled = replace(point, label=self.label or point.label)
        self._points += self._locator.locate([labelled])
        self._tell()

    def _tell(self) -> None:
        if self._request.on_progress is None:
            return
        placed = any(point.xyz is not None for point in self._points)
        self._request.on_progress(
            Progress(
                self._sight.frame.message.header,
                self._sight.name,
                self._text,
                tuple(self._points),
                self._locator.frame_id if placed else "",
            )
        )
