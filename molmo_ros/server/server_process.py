# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The server as a process: its socket, its signals, and an end that answers what it can."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import uvicorn

from molmo_ros.molmo.errors import MolmoError
from molmo_ros.server.access_gate import AccessGate, is_loopback
from molmo_ros.server.application import make_application
from molmo_ros.server.chat_completions import ChatCompletions
from molmo_ros.server.chat_request import RequestBounds
from molmo_ros.server.job_queue import JobQueue
from molmo_ros.server.model_worker import ModelWorker
from molmo_ros.server.request_body import HeldBodies
from molmo_ros.server.request_deadlines import TimedProtocol
from molmo_ros.server.server_metrics import ServerMetrics

if TYPE_CHECKING:
    from molmo_ros.molmo.pipeline import Molmo

LOG = logging.getLogger(__name__)
BACKLOG = 1024
KEEP_ALIVE = 15
STOP_TIMEOUT = 2.0
"""How long a running stage may take to notice that the process ends [s]."""


@dataclass(frozen=True)
class ServerSettings:
    """How it is served.

    Attributes:
        name: Of the model, in requests.
        host: Where to listen.
        port: Where to listen; 0 for any that is free.
        token: Of whoever may ask; None for anyone.
        body_bytes: Of one body.
        bodies_bytes: Of all bodies that are held.
        image_memory: What encoded pictures may hold [bytes].
        waiting: How many questions may wait.
        together: How many about the same picture are answered together.
        connections: How many clients may be connected.
        upload_seconds: How long a client may take to send its request [s].
        grace: How long running answers may take once the server is told to end [s].
        bounds: What a request may hold.
    """

    name: str = "tiny"
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    body_bytes: int = 32 << 20
    bodies_bytes: int = 256 << 20
    image_memory: int = 1 << 30
    waiting: int = 64
    together: int = 32
    connections: int = 1000
    upload_seconds: float = 60.0
    grace: float = 10.0
    bounds: RequestBounds = RequestBounds()


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that clients can connect to.

    Raises:
        MolmoError: The address is none of this machine, is in use, or is forbidden.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise MolmoError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; --host and --port choose another"
        ) from error
    return listening


def serve(settings: ServerSettings, load: Callable[[], Molmo], say: Callable[[str], None]) -> int:
    """Serves until a signal, or until the model cannot answer any more.

    Args:
        settings: How.
        load: Makes the model.
        say: Takes lines for people.

    Returns:
        The exit code: 0 after SIGINT or SIGTERM.

    Raises:
        MolmoError: The address cannot be used, or the model cannot be loaded.
    """
    listening = listening_socket(settings.host, settings.port)
    serving = _Serving(settings, load, say, listening)
    with _log_of_uvicorn():
        code = asyncio.run(serving.run())
    if not serving.worker.stop(STOP_TIMEOUT):
        # Loading weights and a prefill cannot be interrupted, and the interpreter's own end would wait or crash.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    if isinstance(serving.failure, MolmoError):
        raise serving.failure
    return code


class _Serving:
    def __init__(
        self,
        settings: ServerSettings,
        load: Callable[[], Molmo],
        say: Callable[[str], None],
        listening: socket.socket,
    ) -> None:
        self._settings, self._say, self._socket = settings, say, listening
        self.failure: Exception | None = None
        self._metrics = ServerMetrics()
        self._queue = JobQueue(settings.waiting, settings.together, lambda: self._metrics.pace)
        self._bodies = HeldBodies(settings.body_bytes, settings.bodies_bytes)
        self._metrics.watch(lambda: len(self._queue), lambda: self._bodies.nbytes)
        self.worker = ModelWorker(
            load,
            self._queue,
            self._metrics,
            pixels=settings.bounds.pixels,
            image_memory=settings.image_memory,
            on_ready=self._ready,
            on_end=self._ended,
        )

    async def run(self) -> int:
        """Serves; returns the exit code."""
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        chat = ChatCompletions(settings.name, self._queue, self.worker, self._bodies, settings.bounds)
        gate = AccessGate(settings.token, is_loopback(settings.host))
        app = make_application(settings.name, gate, chat, self.worker, self._metrics)
        protocol = TimedProtocol.limited(_connections(settings.connections), settings.upload_seconds)
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=int(settings.grace) + 5,
        )
        self._server = _Server(config)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._on_signal)
        self.worker.start()
        await self._server.serve([self._socket])
        return 1 if self.failure is not None else 0

    def _ready(self) -> None:
        address = self._socket.getsockname()
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        with contextlib.suppress(
            OSError, ValueError
        ):  # a full disk, or a pipe without a reader, ends no server
            self._say(f"{self._settings.name} is served at http://{host}:{address[1]}/v1 (end with Ctrl+C)")
            sys.stdout.flush()  # a pipe holds lines back

    def _ended(self, error: Exception) -> None:
        """The model cannot answer, which the process ends with, so that whoever watches it starts it again."""
        self.failure = error
        if not isinstance(error, MolmoError):
            LOG.error("the model ended: %s: %.300s", type(error).__name__, error)
        self._loop.call_soon_threadsafe(self._stop)

    def _on_signal(self) -> None:
        if self._server.should_exit:
            self.worker.cancel_running()
            self._server.force_exit = True
        self._stop()

    def _stop(self) -> None:
        """What waits is refused at once, what runs has its grace."""
        self._queue.close("the server ends")
        self._server.should_exit = True
        self._loop.call_later(self._settings.grace, self.worker.cancel_running)


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _connections(wanted: int) -> int:
    """As many as the process may have open, beside its files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted + 256 if hard == resource.RLIM_INFINITY else min(hard, wanted + 256)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return wanted if soft == resource.RLIM_INFINITY else max(16, min(wanted, soft - 256))


@contextlib.contextmanager
def _log_of_uvicorn() -> Iterator[None]:
    """Its errors go where ours go; what clients do wrong is none of them."""
    logger = logging.getLogger("uvicorn")
    handlers = logging.getLogger("molmo_ros").handlers
    logger.setLevel(logging.ERROR)
    logger.propagate = not handlers
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
