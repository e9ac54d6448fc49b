# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One question on its way to a server and back: its limits, its pieces, and the answer that they make."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from molmo_ros.molmo.answer import Answer, Asked, Point
from molmo_ros.molmo.answers.answer_stream import AnswerStream
from molmo_ros.molmo.answers.finished_answer import finished_answer
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.pointing.points import PointStream
from molmo_ros.molmo.running.generation import GenerateOptions, Generation, Limits, StopReason
from molmo_ros.remote.answer_chunk import AnswerChunk, nonsense
from molmo_ros.remote.outgoing_picture import OutgoingPicture
from molmo_ros.remote.served_answer import ServedAnswer, served_point
from molmo_ros.remote.served_confidence import ServedConfidence
from molmo_ros.remote.served_model import ServedModel
from molmo_ros.remote.server_error import ServerError, Trouble

LONGEST_TOKEN = 128
"""Characters of a token, at most: servers that write more than so many for each that they were allowed are stopped."""
LONGEST = 3600.0
"""Without a limit of its own, a question is given up after so long [s]."""
_CUT_SHORT = ("length", "max_tokens")
_ENDED = ("stop", "eos", "end_turn", *_CUT_SHORT)


class RemoteQuery:
    """Reads the pieces of one answer.

    Attributes:
        number: Among those that are asked together.
        query: What is asked.
        limits: Its limits, on the clock.
        wanted: The longest answer [tokens].
        over: Whether nothing more is to come.
    """

    def __init__(
        self, number: int, query: ImageQuery, picture: OutgoingPicture, model: ServedModel, started: float
    ) -> None:
        """A question that is about to be sent.

        Args:
            number: Among those that are asked together.
            query: What is asked; its text is what is sent.
            picture: What it is about.
            model: Who is asked.
            started: When the caller began to wait, on `time.monotonic` [s].

        Raises:
            PromptError: `max_points` is refused.
        """
        self.number, self.query, self.over = number, query, False
        options = query.options or GenerateOptions()
        limit = LONGEST if options.time_limit is None else options.time_limit
        self.limits = Limits(started + limit, query.cancel)
        self.wanted = options.tokens(query.asked is Asked.COUNT)
        self._model, self._started = model, started
        # What a server of our own reads from the tokens goes before what is read here from the text.
        on_point = None if model.is_own else query.on_point
        self._stream = AnswerStream(
            label=query.label, max_points=query.max_points, on_text=query.on_text, on_point=on_point
        )
        self._stream.start(None, PointStream(picture.sizes, None, query.asked))
        self._confidence = ServedConfidence(model.family.prompt.wording.not_found)
        self._sizes = picture.sizes
        self._first: float | None = None
        self._heard = started  # when the last words came
        self._finish, self._tokens = "", 0
        self._own: ServedAnswer | None = None
        self._own_points: list[Point] = []
        self._satisfied = False

    def silence(self) -> float:
        """How long nothing has come [s]; bytes without a meaning do not count."""
        return time.monotonic() - self._heard

    @property
    def has_begun(self) -> bool:
        """Whether anything of the answer has come."""
        return self._first is not None

    def take(self, chunk: AnswerChunk) -> bool:
        """Takes the next piece; returns whether there are points enough.

        Raises:
            ServerError: It is no piece of an answer to this.
        """
        if not self._model.answers_as(chunk.model):
            raise ServerError(
                Trouble.REFUSED,
                f"answers with the model {chunk.model!r:.200}, and {self._model.name!r:.200} was asked; name the one "
                "that is meant with server_model",
            )
        if chunk.text or chunk.finish or chunk.own:
            self._heard = time.monotonic()
            if self._first is None:
                self._first = self._heard
        tokens = self._tokens + len(chunk.chances or ()) if chunk.tokens is None else chunk.tokens
        self._tokens = min(tokens, self.wanted)
        self._finish = chunk.finish or self._finish
        if chunk.own is not None:
            self._take_own(chunk.own)
        if not chunk.text:
            return self._satisfied
        if len(self._stream.text) + len(chunk.text) > LONGEST_TOKEN * self.wanted:
            raise nonsense(
                f"writes on and on: {len(self._stream.text)} characters and more, for {self.wanted} tokens at most"
            )
        if chunk.chances is not None and self._stream.confidence is None and not self._stream.text:
            self._stream.confidence = self._confidence
        self._confidence.take(chunk.text, chunk.chances)
        enough = self._stream.take(chunk.text)
        self._satisfied |= enough and not self._model.is_own
        return self._satisfied

    def answer(self, stop: StopReason | None = None) -> Answer:
        """The answer, once it is over.

        Args:
            stop: What ended it here; None where the server has ended it.

        Raises:
            ServerError: The server ended it for a reason that is none.
        """
        if stop is None and self._finish and self._finish not in _ENDED:
            raise ServerError(Trouble.FAILED, f"ended the answer with {self._finish!r:.80}")
        if stop is None:
            stop = StopReason.EOS
            if self._satisfied:
                stop = StopReason.SATISFIED
            elif self._finish in _CUT_SHORT:
                full = self._tokens >= self.wanted or not self._tokens
                stop = StopReason.MAX_NEW_TOKENS if full else StopReason.CONTEXT
        now = time.monotonic()
        first = now if self._first is None else self._first
        ids = (-1,) * self._tokens  # which they are is not told
        generation = Generation(ids, stop, (first - self._started) * 1e3, (now - first) * 1e3)
        timing = {
            "preprocess": 0.0,
            "vision": 0.0,
            "prefill": generation.prefill_ms,
            "decode": generation.decode_ms,
        }
        timing["total"] = (now - self._started) * 1e3
        parsed = self._stream.finish(stop is StopReason.EOS)
        answer = finished_answer(self._stream, parsed, generation, self.query.asked, timing, None)
        if self._own is not None:
            return self._own.over(answer, self.query.asked)
        return replace(answer, points=tuple(self._own_points)) if self._model.is_own else answer

    @property
    def first_ms(self) -> float | None:
        """From the start to the first words [ms]."""
        return None if self._first is None else (self._first - self._started) * 1e3

    def _take_own(self, own: dict[str, Any]) -> None:
        """What `molmo-ros serve` says beside the text."""
        if "status" in own:
            self._own = ServedAnswer.read(own, len(self._sizes))
        elif "point" in own:
            point = served_point(own["point"], len(self._sizes))
            self._own_points.append(point)
            if self.query.on_point is not None:
                self.query.on_point(point)
