# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Answers as chat completions: whole, and in the pieces of a stream.

Source of the shapes: OpenAI's API reference, "The chat completion object" and "The chat completion chunk object".
"""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.server.model_job import FinishedJob

CUT_BY = ("max_new_tokens", "context", "time_limit")
"""Limits that cut a text off, which is `finish_reason` "length"."""


def point_object(point: Point) -> dict[str, Any]:
    """A point, in pixels of the picture that was sent."""
    return {
        "image": point.image,
        "x": point.x,
        "y": point.y,
        "label": point.label,
        "index": point.index,
        "score": point.confidence,
    }


def molmo_object(done: FinishedJob) -> dict[str, Any]:
    """`choices[0].molmo`: what the answer means."""
    answer = done.answer
    return {
        "status": answer.status.value,
        "points": [point_object(point) for point in answer.points],
        "count": answer.count,
        "not_found_probability": answer.not_found_probability,
        "calibrated": answer.calibrated,
        "truncated": answer.truncated,
        "limit": answer.limit or None,
        "reason": answer.error,
        "images": [{"width": width, "height": height} for height, width in done.sizes],
        "notes": list(done.notes),
        "timing_ms": answer.timing_ms,
    }


def finish_reason(answer: Answer) -> str:
    """As clients know it: "length" where a limit cut the text off."""
    return "length" if answer.limit in CUT_BY else "stop"


def usage(done: FinishedJob) -> dict[str, Any]:
    """Tokens of the pictures and words, and of the answer."""
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.answer.tokens,
        "total_tokens": done.prompt_tokens + done.answer.tokens,
        "prompt_tokens_details": {"cached_tokens": done.cached_tokens},
    }


class ChatResponse:
    """Makes the objects of one answer.

    Args:
        model: Its name.
    """

    def __init__(self, model: str) -> None:
        self._common = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
        }
        self._held = ""
        self._begun = False

    def whole(self, done: FinishedJob) -> dict[str, Any]:
        """The answer in one piece."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": done.answer.text, "refusal": None},
            "logprobs": None,
            "finish_reason": finish_reason(done.answer),
            "molmo": molmo_object(done),
        }
        return {**self._common, "object": "chat.completion", "choices": [choice], "usage": usage(done)}

    def text(self, piece: str) -> bytes:
        """A piece of text; the pieces together are the whole answer's, without blanks around it."""
        text = self._held + piece
        if not self._begun:
            text = text.lstrip()
        whole = text.rstrip()
        self._held = text[len(whole) :]
        if not whole:
            return b""
        self._begun = True
        return self._chunk({"content": whole})

    def role(self) -> bytes:
        """The first piece."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def point(self, point: Point) -> bytes:
        """A point that is complete."""
        return self._chunk({}, molmo={"point": point_object(point)})

    def end(self, done: FinishedJob, include_usage: bool) -> bytes:
        """The last pieces."""
        last = self._chunk({}, finish_reason(done.answer), molmo_object(done))
        if include_usage:
            last += _event(
                {**self._common, "object": "chat.completion.chunk", "choices": [], "usage": usage(done)}
            )
        return last + b"data: [DONE]\n\n"

    def _chunk(
        self, delta: dict[str, Any], finish: str | None = None, molmo: dict[str, Any] | None = None
    ) -> bytes:
        choice: dict[str, Any] = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        if molmo is not None:
            choice["molmo"] = molmo
        return _event({**self._common, "object": "chat.completion.chunk", "choices": [choice]})


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def error_event(body: dict[str, Any]) -> bytes:
    """An error once a stream has begun."""
    return _event(body)
