# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One answer of an evaluation, as a line of the answers' file has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from molmo_ros.evaluation.question import BenchmarkQuestion
from molmo_ros.evaluation.rules import Reply
from molmo_ros.evaluation.written_fractions import read_fractions
from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.status import Status


@dataclass(frozen=True)
class AnswerRecord:
    """What came of one question.

    Attributes:
        id: Of the question.
        status: See `Status`.
        text: The model's.
        points: x and y of each [px], in the answer's order.
        size: Height and width of the picture [px].
        error: What went wrong, or why there is no point; empty for nothing.
        from_fractions: Whether the points were written as pairs of fractions.
        tokens: How many the model generated.
        ms: Wall time of the whole query [ms].
    """

    id: str
    status: Status
    text: str
    points: tuple[tuple[float, float], ...]
    size: tuple[int, int]
    error: str = ""
    from_fractions: bool = False
    tokens: int = 0
    ms: float = 0.0

    @classmethod
    def of(
        cls, question: BenchmarkQuestion, size: tuple[int, int], outcome: Answer | Exception
    ) -> AnswerRecord:
        """Of what the model returned about a picture of a height and a width."""
        if isinstance(outcome, Exception):
            return cls(question.id, Status.ERROR, "", (), size, str(outcome) or type(outcome).__name__)
        points = tuple((point.x, point.y) for point in outcome.points)
        status, error, from_fractions = outcome.status, outcome.error, False
        if not points and question.fractions:
            points = tuple((float(x), float(y)) for x, y in read_fractions(outcome.text, size))
            if points:
                from_fractions = True
                if status in (Status.UNPARSEABLE, Status.ANSWERED, Status.NOT_FOUND):
                    status, error = Status.FOUND, ""
        return cls(
            question.id,
            status,
            outcome.text,
            points,
            size,
            error,
            from_fractions,
            outcome.tokens,
            round(outcome.timing_ms.get("total", 0.0), 1),
        )

    @property
    def reply(self) -> Reply:
        """What rules look at."""
        return Reply(np.array(self.points, float).reshape(-1, 2), self.text)

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "id": self.id,
            "status": self.status.value,
            "text": self.text,
            "points": [list(point) for point in self.points],
            "size": list(self.size),
            "error": self.error,
            "from_fractions": self.from_fractions,
            "tokens": self.tokens,
            "ms": self.ms,
        }

    @classmethod
    def read(cls, plain: Any) -> AnswerRecord:
        """Of JSON.

        Raises:
            ValueError, KeyError, TypeError: It is none.
        """
        points = tuple((float(x), float(y)) for x, y in plain["points"])
        height, width = map(int, plain["size"])
        if not (isinstance(plain["id"], str) and isinstance(plain["text"], str) and height > 0 and width > 0):
            raise ValueError("its fields are of other types")
        return cls(
            plain["id"],
            Status(plain["status"]),
            plain["text"],
            points,
            (height, width),
            str(plain["error"]),
            bool(plain["from_fractions"]),
            int(plain["tokens"]),
            float(plain["ms"]),
        )
