# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Connections that end in time: whoever sends half a request, or nothing, or does not read, holds no place for long.

uvicorn has limits between requests only (`timeout_keep_alive`).
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LINGER = 5.0
"""How long is read on of a body whose request is answered already, so that the client gets to read that, and how long
what is left of an answer may be read once the connection closes [s]."""
LATE = (
    b'{"error": {"message": "the request did not come to its end in time", "type": "invalid_request_error", '
    b'"param": null, "code": "request_timeout"}}'
)


class TimedProtocol(H11Protocol):
    """uvicorn's protocol, with a deadline for whatever the client has to do next."""

    most_connections = 1000
    """Beyond this many, new ones are closed at once."""
    head_timeout = 10.0
    """From a connection, or the end of the answer before, to the end of a request's head [s]."""
    body_timeout = 60.0
    """From there to the end of its body [s]."""

    @classmethod
    def limited(cls, connections: int, seconds: float) -> type[TimedProtocol]:
        """The protocol with other limits.

        Args:
            connections: `most_connections`.
            seconds: `body_timeout`, and the most of `head_timeout`.
        """
        limits = {
            "most_connections": connections,
            "head_timeout": min(cls.head_timeout, seconds),
            "body_timeout": seconds,
        }
        return type("LimitedProtocol", (cls,), limits)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._timer: asyncio.TimerHandle | None = None
        self._awaited: object = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            transport.write(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n")
            transport.write(b"Content-Length: 0\r\n\r\n")
            transport.close()
            return
        self._await("head", self.head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._await(None)
        self._read_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        self._set_deadline()

    def on_response_complete(self) -> None:
        """See `H11Protocol`."""
        super().on_response_complete()
        self._set_deadline()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`: the client does not read what it is sent."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.body_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._read_on()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """See `H11Protocol`."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(LINGER, self.transport.abort)

    def _read_on(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _set_deadline(self) -> None:
        if self.transport.is_closing():
            # It waits until the client has read what is left, which may be never.
            self._await("close", LINGER)
        elif self.conn.their_state is h11.SEND_BODY:
            answered = self.conn.our_state in (h11.DONE, h11.MUST_CLOSE)
            self._await(*(("rest", LINGER) if answered else ("body", self.body_timeout)))
        elif self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None:
            self._await("head", self.head_timeout)
        else:
            self._await(None)

    def _await(self, what: object, seconds: float = 0.0) -> None:
        """Sets the time for one thing that is awaited, once."""
        if what is not None and what == self._awaited:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._awaited = what
        self._timer = None if what is None else self.loop.call_later(seconds, self._is_late)

    def _is_late(self) -> None:
        if (
            self._awaited in ("head", "body")
            and not self.transport.is_closing()
            and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)
            and not self._answering()
        ):
            self.transport.write(
                b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(LATE), LATE)
            )
            self.transport.close()
            self._await("close", LINGER)
        else:
            self.transport.abort()

    def _answering(self) -> bool:
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
