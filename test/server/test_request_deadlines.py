# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Connections end in time also where the client takes nothing, or no more: over real sockets, of any application."""

import asyncio
import socket
import threading

import pytest
import uvicorn

from molmo_ros.server import request_deadlines
from molmo_ros.server.request_deadlines import TimedProtocol

PATIENCE = 30
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Endless:
    """Sends for as long as somebody takes it; `ended` says how it came to an end."""

    def __init__(self, pieces=None, size=1 << 16):
        self.ended, self._pieces, self._size = threading.Event(), pieces, size

    async def __call__(self, scope, receive, send):
        watching = asyncio.ensure_future(self._gone(receive))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        sent = 0
        while not watching.done() and sent != self._pieces:
            await send({"type": "http.response.body", "body": bytes(self._size), "more_body": True})
            sent += 1
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        watching.cancel()
        self.ended.set()

    @staticmethod
    async def _gone(receive):
        while (await receive())["type"] != "http.disconnect":
            pass


@pytest.fixture
def running(monkeypatch):
    """Starts an application behind the protocol, with limits of half a second; returns a connected socket."""
    monkeypatch.setattr(request_deadlines, "LINGER", 0.5)
    servers, connections = [], []

    def start(app, buffer=0, **settings):
        listening = socket.create_server(("127.0.0.1", 0))
        if buffer:  # its connections have the same
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        protocol = TimedProtocol.limited(10, 0.5)
        config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None, **settings)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        servers.append((server, thread))
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE)
        connection.connect(listening.getsockname())
        connections.append(connection)
        return connection, server

    yield start
    for connection in connections:
        connection.close()
    for server, thread in servers:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_who_does_not_read_is_left(running):
    app = Endless()
    connection, server = running(app)
    connection.sendall(REQUEST)
    assert app.ended.wait(PATIENCE)
    until_none(server)


def test_who_reads_slowly_is_not(running):
    """Each piece in time, all together over the limit."""
    app = Endless(pieces=40)
    connection, _ = running(app)
    connection.sendall(REQUEST)
    received, pause = 0, threading.Event()
    while received < 40 << 16:
        piece = connection.recv(1 << 16)
        assert piece, "it was cut"
        received += len(piece)
        if received < 30 << 12:
            pause.wait(0.05)
    assert app.ended.wait(PATIENCE)


def test_what_is_left_unread_does_not_hold_the_connection(running):
    """The answer is complete, what the system does not take is small enough to wait, and the client takes none."""
    app = Endless(pieces=1, size=60_000)
    connection, server = running(app, 4096, timeout_keep_alive=1)
    connection.sendall(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert app.ended.wait(PATIENCE)
    until_none(server)


def until_none(server):
    """No connection is left at the server, while the client's end is open."""
    ended = threading.Event()
    for _ in range(PATIENCE * 20):
        if not server.server_state.connections:
            return
        ended.wait(0.05)
    raise AssertionError("the connection is still there")
