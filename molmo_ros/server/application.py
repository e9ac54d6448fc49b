# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the server answers at which address, as an ASGI application."""

from __future__ import annotations

import logging
import time

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from molmo_ros.server.access_gate import AccessGate
from molmo_ros.server.chat_completions import ChatCompletions
from molmo_ros.server.json_response import JsonResponse, error_response
from molmo_ros.server.model_worker import ModelWorker
from molmo_ros.server.request_error import RequestError
from molmo_ros.server.server_metrics import ServerMetrics

LOG = logging.getLogger(__name__)
CLIENT_GONE = 499
"""What metrics call a request whose client went before there was an answer, as nginx does."""
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def make_application(
    model: str, gate: AccessGate, chat: ChatCompletions, worker: ModelWorker, metrics: ServerMetrics
) -> ASGIApp:
    """The whole application.

    Args:
        model: The name that it is served by.
        gate: Who may ask.
        chat: Answers questions.
        worker: Whose health is told.
        metrics: Shown at /metrics.
    """
    started = int(time.time())

    def card() -> dict[str, object]:
        known = {"id": model, "object": "model", "created": started, "owned_by": "molmo_ros"}
        return {**known, "molmo": worker.card}

    async def models(_request: Request) -> Response:
        return JsonResponse({"object": "list", "data": [card()]})

    async def one_model(request: Request) -> Response:
        name = request.path_params["name"]
        if name != model:
            raise no_such_model(name, model)
        return JsonResponse(card())

    async def health(_request: Request) -> Response:
        state = worker.health
        return JsonResponse({"status": state}, 200 if state == "ok" else 503)

    async def shown_metrics(_request: Request) -> Response:
        return Response(metrics.text(), media_type=METRICS_TYPE)

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", one_model),
        Route("/health", health),
        Route("/metrics", shown_metrics),
    ]
    handlers = {RequestError: _refused, HTTPException: _not_here}
    return _Watched(
        Starlette(routes=routes, exception_handlers=handlers), gate, metrics, [r.path for r in routes]
    )


def no_such_model(name: str, model: str) -> RequestError:
    """404: this server has one model."""
    return RequestError(
        404,
        f"there is no model {name!r:.120}; this server has {model!r}",
        param="model",
        code="model_not_found",
    )


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error_response(error)


async def _not_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = "there is nothing here" if error.status_code == 404 else f"{request.method} goes nowhere here"
    refused = RequestError(
        error.status_code, f"{what}: {request.url.path[:200]}; see docs/serve.md", code="unknown_url"
    )
    return JsonResponse(refused.body, refused.status, {**refused.headers, **dict(error.headers or {})})


class _Watched:
    """Around the application: who may ask, what is counted, and an answer whatever goes wrong."""

    def __init__(self, app: ASGIApp, gate: AccessGate, metrics: ServerMetrics, paths: list[str]) -> None:
        self._app, self._gate, self._metrics, self._paths = app, gate, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request, status = Request(scope), 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._gate.check(request.url.path, request.headers)
            await self._app(scope, receive, counted)
        except RequestError as error:
            await error_response(error)(scope, receive, counted)
        except Exception as error:
            LOG.error("a request failed: %s: %.300s", type(error).__name__, error, exc_info=error)
            if status:
                raise
            failed = RequestError(
                500, "the server failed on this request; its log says why", code="internal_error"
            )
            await error_response(failed)(scope, receive, counted)
        finally:
            # Whatever others ask for is one path, or anyone could fill the memory with names.
            path = request.url.path
            self._metrics.request(path if path in self._paths else "other", status or CLIENT_GONE)
