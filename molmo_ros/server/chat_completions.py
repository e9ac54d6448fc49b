# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`POST /v1/chat/completions`: a question in, an answer out, whole or in pieces, for as long as the client is there."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from molmo_ros.molmo.answer import Point
from molmo_ros.molmo.status import Status
from molmo_ros.server.chat_request import ChatRequest, RequestBounds, read_chat_request
from molmo_ros.server.chat_response import ChatResponse, error_event
from molmo_ros.server.job_queue import JobQueue
from molmo_ros.server.json_response import JsonResponse, error_response
from molmo_ros.server.model_job import FinishedJob, JobEvent, ModelJob
from molmo_ros.server.model_worker import GRACE, ModelWorker, waited_too_long
from molmo_ros.server.request_body import HeldBodies, RequestBody
from molmo_ros.server.request_error import RequestError, unavailable

NOT_READY = {"loading": "model_loading", "stuck": "model_stuck", "failed": "model_failed"}
"""The error's code for each state of the worker but "ok"."""
READERS = 2
"""How many bodies are read through at a time: each takes its size several times over for a moment."""


class ChatCompletions:
    """The endpoint, as an ASGI application.

    Args:
        model: The name that requests must give.
        queue: Where questions wait.
        worker: Who answers them.
        bodies: What is held of bodies.
        bounds: What requests may hold.
    """

    def __init__(
        self, model: str, queue: JobQueue, worker: ModelWorker, bodies: HeldBodies, bounds: RequestBounds
    ) -> None:
        self._model, self._queue, self._worker = model, queue, worker
        self._bodies, self._bounds = bodies, bounds
        self._readers = asyncio.Semaphore(READERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = time.monotonic()
        request = Request(scope, receive)
        self._check_early(request)
        with RequestBody(self._bodies) as body:
            try:
                data = await body.read(request)
            except ClientDisconnect:
                return
            async with self._readers:
                chat = await anyio.to_thread.run_sync(read_chat_request, data, self._bounds)
            del data
            if chat.model != self._model:
                raise RequestError(
                    404,
                    f"there is no model {chat.model!r:.120}; this server has {self._model!r}",
                    param="model",
                    code="model_not_found",
                )
            events: asyncio.Queue[JobEvent] = asyncio.Queue()
            job = self._job(chat, arrived, events)
            self._queue.put(job)
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(_watch, receive, group.cancel_scope)
                    await self._respond(chat, job, events, scope, receive, send)
                    group.cancel_scope.cancel()
            finally:
                # Answered, or the client is gone: nobody waits any more.
                job.cancel.set()
                self._queue.withdraw(job)

    def _check_early(self, request: Request) -> None:
        """What can be refused before the body comes."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            # A page in a browser sends other types to any address without asking first.
            raise RequestError(
                415,
                f"Content-Type is {kind[:80]!r}; it must be application/json",
                code="unsupported_media_type",
            )
        state = self._worker.health
        if state != "ok":
            raise unavailable(f"the model is {state}", NOT_READY[state])
        self._queue.check()

    def _job(self, chat: ChatRequest, arrived: float, events: asyncio.Queue[JobEvent]) -> ModelJob:
        loop = asyncio.get_running_loop()

        def deliver(event: JobEvent) -> None:
            with suppress(RuntimeError):  # the loop is closed: the server has ended
                loop.call_soon_threadsafe(events.put_nowait, event)

        limit = min(chat.asking.time_limit or self._bounds.seconds, self._bounds.seconds)
        return ModelJob(
            chat.pictures,
            chat.asking,
            arrived + limit,
            deliver,
            chat.max_tokens,
            chat.stream,
            arrived=arrived,
        )

    async def _respond(
        self,
        chat: ChatRequest,
        job: ModelJob,
        events: asyncio.Queue[JobEvent],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        response = ChatResponse(chat.model)
        event = await self._next(job, events)
        if isinstance(event, RequestError):
            await error_response(event)(scope, receive, send)
        elif chat.stream:
            await self._stream(chat, job, event, events, response, send)
        else:
            while not isinstance(event, (FinishedJob, RequestError)):
                event = await self._next(job, events)
            if isinstance(event, RequestError):
                await error_response(event)(scope, receive, send)
            else:
                await JsonResponse(response.whole(event))(scope, receive, send)

    async def _next(self, job: ModelJob, events: asyncio.Queue[JobEvent]) -> JobEvent:
        """What happens next to a question; an error where its time is over and nothing does."""
        for grace in (0.0, GRACE):
            left = max(0.0, job.deadline + grace - time.monotonic())
            with suppress(asyncio.TimeoutError):
                return _ended(await asyncio.wait_for(events.get(), left))
            if self._queue.withdraw(job):
                return waited_too_long(job)
        return RequestError(504, "the model did not answer within its time limit", code="model_stuck")

    async def _stream(
        self,
        chat: ChatRequest,
        job: ModelJob,
        event: JobEvent,
        events: asyncio.Queue[JobEvent],
        response: ChatResponse,
        send: Send,
    ) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        piece = response.role()
        while True:
            if isinstance(event, FinishedJob):
                piece += response.end(event, chat.include_usage)
            elif isinstance(event, RequestError):
                piece += error_event(event.body)
            elif isinstance(event, Point):
                piece += response.point(event)
            else:
                piece += response.text(event)
            done = isinstance(event, (FinishedJob, RequestError))
            await send({"type": "http.response.body", "body": piece, "more_body": not done})
            if done:
                return
            piece, event = b"", await self._next(job, events)


async def _watch(receive: Receive, scope: anyio.CancelScope) -> None:
    """Ends the question when its client goes."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _ended(event: JobEvent) -> JobEvent:
    """An answer that somebody else than its client has ended is none."""
    if isinstance(event, FinishedJob) and event.answer.status is Status.CANCELLED:
        return unavailable("the server ends, and the question with it", "shutting_down")
    return event
