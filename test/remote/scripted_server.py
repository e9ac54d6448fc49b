# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A server on a real socket that does what a test tells it, byte for byte: also what no server should do."""

import contextlib
import json
import socket
import ssl
import threading
import time
from types import SimpleNamespace

MODEL = "allenai/Molmo2-8B"


class ScriptedServer:
    """Takes connections, reads requests, and answers as it was told.

    Attributes:
        models: Called with a connection for GET .../models.
        chat: Called with a connection and a request for POST .../chat/completions.
        requests: All requests: method, path, headers (lower case), body (parsed JSON where it is some).
        connections: How many have been made.
        gone: How many were closed by the other side while they were being answered.
    """

    def __init__(self, chat=None, models=None, context=None, name=MODEL):
        self.name = name
        self.models = models or (lambda link: link.json({"data": [{"id": self.name, "object": "model"}]}))
        self.chat = chat or say("There are none.")
        self.requests, self.connections, self.gone = [], 0, 0
        self._context, self._lock, self._port, self._live = context, threading.Lock(), 0, set()
        self.start()

    @property
    def url(self):
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self._port}"

    def start(self):
        """Listen, where it listened before."""
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind(("127.0.0.1", self._port))
        self._port = self._listening.getsockname()[1]
        self._listening.listen(128)
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def stop(self):
        """Gone, in the middle of whatever it was doing."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            live, self._live = self._live, set()
        for connection in live:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    @property
    def asked(self):
        """The bodies of the questions."""
        return [one.body for one in self.requests if one.method == "POST"]

    def _accept(self, listening):
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._live.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            link = Link(connection, self)
            while request := link.read():
                self.requests.append(request)
                if request.method == "GET":
                    self.models(link)
                else:
                    self.chat(link, request)
                if link.closed:
                    return
        except OSError:
            with self._lock:
                self.gone += 1
        finally:
            connection.close()


class Link:
    """One connection."""

    def __init__(self, connection, server):
        self.socket, self.server, self.closed = connection, server, False
        self._buffer = b""

    def read(self):
        while b"\r\n\r\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                return None
            self._buffer += data
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(rest) < length:
            rest += self.socket.recv(1 << 20)
        self._buffer = rest[length:]
        method, path, _ = first.split(" ")
        body = json.loads(rest[:length]) if length else None
        return SimpleNamespace(method=method, path=path, headers=headers, body=body)

    def send(self, data):
        self.socket.sendall(data)

    def close(self):
        self.closed = True

    def wait_for_end(self, seconds=60):
        """Until the other side has closed; counted as gone."""
        self.socket.settimeout(seconds)
        if self.socket.recv(1) == b"":
            self.server.gone += 1
        self.close()

    def reply(self, body, kind="application/json", status="200 OK", headers=(), length=None):
        lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", *headers]
        lines.append(f"Content-Length: {len(body) if length is None else length}")
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def json(self, value, status="200 OK", headers=()):
        self.reply(json.dumps(value).encode(), status=status, headers=headers)

    def begin_stream(self, kind="text/event-stream"):
        self.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())

    def piece(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, value):
        self.piece(b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n")

    def end_stream(self):
        self.piece(b"data: [DONE]\n\n")
        self.send(b"0\r\n\r\n")


def chunk(text=None, finish=None, model=MODEL, **choice):
    delta = {} if text is None else {"content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **choice}],
    }


def say(*pieces, finish="stop", model=MODEL, tokens=None, pause=0.0):
    """Streams these pieces, as a server should."""

    def chat(link, request):
        link.begin_stream()
        link.event(
            chunk("", model=model)
            | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
        )
        for text in pieces:
            link.event(chunk(text, model=model))
            time.sleep(pause)
        link.event(chunk(finish=finish, model=model))
        if tokens is not None:
            link.event({"choices": [], "model": model, "usage": {"completion_tokens": tokens}})
        link.end_stream()

    return chat


def tls_context(folder):
    """A certificate for 127.0.0.1 that signs itself, and a server's context with it."""
    import subprocess

    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
        + ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
