# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Questions about one picture on their way together: sent side by side, waited for in the asker's thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.running.generation import ANSWER_TOKENS, StopReason
from molmo_ros.remote.answer_chunk import AnswerChunk
from molmo_ros.remote.outgoing_picture import OutgoingPicture
from molmo_ros.remote.remote_query import RemoteQuery
from molmo_ros.remote.served_model import ServedModel
from molmo_ros.remote.server_error import ServerError, Trouble
from molmo_ros.remote.server_link import ServerLink
from molmo_ros.remote.server_state import ServerRecord

POLL = 0.02
"""How often whoever waits looks whether it is to go on waiting [s]."""
BUSY_PAUSE = 1.0
"""Before a busy server is asked again that did not say when [s]."""
RemoteOutcome = Answer | Exception
"""An answer, or why there is none."""


@dataclass(frozen=True)
class _End:
    """The last that comes of a question: what went wrong, if anything."""

    error: Exception | None = None


class Exchange:
    """Questions about one picture.

    Attributes:
        finish: What is done to every answer before it is given out.
    """

    def __init__(
        self,
        link: ServerLink,
        record: ServerRecord,
        model: ServedModel,
        picture: OutgoingPicture,
        started: float,
        share: float,
        patience: float,
        on_answer: Callable[[int, RemoteOutcome], None] | None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            link: To the server.
            record: Of what it does.
            model: Which is asked.
            picture: What about.
            started: When the caller began to wait, on `time.monotonic` [s].
            share: See `RemoteMolmo.outcomes`.
            patience: How long the server may say nothing [s].
            on_answer: Called with each outcome and its question's number.
        """
        self._link, self._record, self._model, self._picture = link, record, model, picture
        self._started, self._share, self._patience, self._on_answer = started, share, patience, on_answer
        self._events: SimpleQueue[tuple[RemoteQuery, AnswerChunk | _End]] = SimpleQueue()
        self._asked: dict[RemoteQuery, Future[None]] = {}
        self._outcomes: dict[int, RemoteOutcome] = {}
        self.finish: Callable[[Answer], Answer] = lambda answer: answer

    def ask(self, number: int, query: ImageQuery, body: Callable[[int], bytes]) -> None:
        """Sends a question.

        Args:
            number: Its own.
            query: What is asked.
            body: Makes what is sent, for a longest answer [tokens].
        """
        try:
            asked = RemoteQuery(number, query, self._picture, self._model, self._started)
            first = body(asked.wanted)
        except MolmoError as error:
            self._ended(number, error)
            return
        stop = asked.limits.reached()
        if stop is not None:
            self._ended(number, self.finish(asked.answer(stop)))
            return
        work = self._converse(asked, first, body)
        self._asked[asked] = self._link.start(work)

    def wait(self) -> list[RemoteOutcome]:
        """The outcomes, in the order of the numbers, once all have come or were given up."""
        try:
            while any(not one.over for one in self._asked):
                try:
                    query, event = self._events.get(timeout=POLL)
                except Empty:
                    pass
                else:
                    self._take(query, event)
                self._look()
        finally:  # also where a callback of the caller has raised
            for query, future in self._asked.items():
                if not query.over:
                    future.cancel()
        return [self._outcomes[number] for number in sorted(self._outcomes)]

    # In the link's thread.

    async def _converse(self, asked: RemoteQuery, body: bytes, body_of: Callable[[int], bytes]) -> None:
        """Asks until there is an answer, or none to be expected."""
        events, tokens, begun = self._events, asked.wanted, False

        def take(chunk: AnswerChunk) -> None:
            nonlocal begun
            begun = True
            events.put((asked, chunk))

        ended = False

        def end(error: Exception | None = None) -> None:
            nonlocal ended
            if not ended:
                ended = True
                events.put((asked, _End(error)))

        while not ended:
            try:
                await self._link.ask(body, take, end)
            except ServerError as error:
                pause = self._pause(error, asked)
                if begun or (
                    pause is None and not (error.trouble is Trouble.REQUEST and tokens > ANSWER_TOKENS)
                ):
                    end(error)
                elif pause is None:  # servers refuse more tokens than the context has left beside the picture
                    tokens = asked.wanted = ANSWER_TOKENS
                    body = body_of(tokens)
                else:
                    await asyncio.sleep(pause)
            except Exception as error:  # nobody waits for ever for what nobody foresaw
                end(error)

    def _pause(self, error: ServerError, asked: RemoteQuery) -> float | None:
        """How long to wait before a busy server is asked again [s]; None where it is not worth it."""
        if error.trouble is not Trouble.BUSY or self._share < 1:
            return None
        pause = BUSY_PAUSE if error.retry_after is None else max(error.retry_after, POLL)
        left = self._patience - (time.monotonic() - self._started)
        if asked.limits.deadline is not None:
            left = min(left, asked.limits.deadline - time.monotonic())
        return pause if pause < left else None

    # In the asker's thread.

    def _take(self, query: RemoteQuery, event: AnswerChunk | _End) -> None:
        if query.over:
            return
        try:
            if isinstance(event, AnswerChunk):
                if query.take(event):
                    self._asked[query].cancel()
                    self._end(query, query.answer(StopReason.SATISFIED))
            elif event.error is not None:
                self._fail(query, event.error)
            else:
                self._end(query, query.answer())
        except ServerError as error:
            self._fail(query, ServerError(error.trouble, f"{self._link.address.base} {error}"))

    def _look(self) -> None:
        """Gives up what has taken too long, or is not wanted any more."""
        for query in [one for one in self._asked if not one.over]:
            stop = query.limits.reached()
            if stop is not None:
                # A server that has said nothing until the limit has shown that it does not answer.
                mute = stop is StopReason.TIME_LIMIT and not query.has_begun
                self._asked[query].cancel()
                self._end(query, query.answer(stop), mute=mute)
            elif query.silence() > self._longest_silence(query):
                what = (
                    "stopped in the middle of an answer, and" if query.has_begun else "took the question and"
                )
                self._fail(
                    query,
                    ServerError(
                        Trouble.SILENT,
                        f"{self._link.address.base} {what} has said nothing for {query.silence():.3g} s",
                    ),
                )

    def _longest_silence(self, query: RemoteQuery) -> float:
        options = query.query.options
        limit = None if options is None else options.time_limit
        return self._patience if limit is None else min(self._patience, self._share * limit)

    def _end(self, query: RemoteQuery, answer: Answer, mute: bool = False) -> None:
        query.over = True
        if mute:
            self._record.owes()
            self._record.is_down(f"{self._link.address.base} said nothing within a query's time limit")
        elif query.has_begun:
            self._record.answered(query.first_ms, answer.timing_ms["total"])
        self._ended(query.number, self.finish(answer))

    def _fail(self, query: RemoteQuery, error: Exception) -> None:
        query.over = True
        self._asked[query].cancel()
        self._record.owes()
        if not isinstance(error, ServerError) or error.server_is_down:
            self._record.is_down(str(error))
        self._ended(query.number, error)

    def _ended(self, number: int, outcome: RemoteOutcome) -> None:
        self._outcomes[number] = outcome
        if self._on_answer is not None:
            self._on_answer(number, outcome)
