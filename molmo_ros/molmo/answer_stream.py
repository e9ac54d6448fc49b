"""An answer while it is being generated: tokens to text to points, each handed out once it is complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from molmo_ros.molmo.answer import Point
from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.points import ParsedPoints, PointStream
from molmo_ros.molmo.tokenizer import TextStream


class AnswerStream:
    """Takes an answer's tokens one by one, once `start` has said what the answer is about.

    Attributes:
        text: The text so far.
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
            PromptError: `max_points` is below 1.
        """
        if max_points is not None and max_points < 1:
            raise PromptError(f"max_points is {max_points}; it must be at least 1, or None for all")
        self.text = ""
        self._decoded: TextStream | None = None
        self._points: PointStream | None = None
        self._label, self._max_points = label, max_points
        self._on_text, self._on_point = on_text, on_point
        self._given_out = 0

    def start(self, decoded: TextStream, points: PointStream) -> None:
        """Sets how tokens become text and text becomes points, before the first token."""
        self._decoded, self._points = decoded, points

    def feed(self, token_id: int) -> bool:
        """Takes the next token; returns whether there are points enough.

        Raises:
            ValueError: The answer has not started.
        """
        if self._decoded is None:
            raise ValueError("a token came before the answer has started")
        return self._take(self._decoded.feed(token_id))

    def finish(self) -> ParsedPoints:
        """Ends the answer and returns its points, at most `max_points`."""
        if self._decoded is None or self._points is None:
            return ParsedPoints()
        self._take(self._decoded.finish())
        parsed = self._points.finish()
        points = [self._labelled(point) for point in parsed.points[: self._max_points]]
        for point in points[self._given_out :]:  # completed by the end of the text
            self._give_out(point)
        return replace(parsed, points=tuple(points))

    def _take(self, piece: str) -> bool:
        if piece:
            self.text += piece
            if self._on_text is not None:
                self._on_text(piece)
        for point in self._points.feed(piece) if self._points is not None else ():
            if not self._enough():
                self._give_out(self._labelled(point))
        return self._enough()

    def _enough(self) -> bool:
        return self._max_points is not None and self._given_out >= self._max_points

    def _labelled(self, point: Point) -> Point:
        return point if point.label else replace(point, label=self._label)

    def _give_out(self, point: Point) -> None:
        self._given_out += 1
        if self._on_point is not None:
            self._on_point(point)
