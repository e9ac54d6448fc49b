# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a server in between costs: of each query over loopback, of each picture, and of a cut.

    python -m benchmarks.remote [--repeats 200] [--cuts 10]

One process asks, another one answers at once, with as many pieces as a point of Molmo2 has tokens and twenty candidates
for each, as vLLM streams them: what is measured is the client, the server's few lines and the way between. Medians.

* Overhead of a query: from `answers` to the answer, the picture's coding left out, by the size of the picture; several
  questions about one picture side by side; beside it the same bytes over a bare socket.
* Coding a picture, as PNG and as JPEG, and how large it becomes.
* The cut: a server is killed in the middle of an answer; time until the fallback has answered, beside the fallback's
  own time for the same query; and a server that hangs, under a time limit.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import socketserver
import statistics
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np

from molmo_ros.engine.load import load_molmo
from molmo_ros.molmo.answer import Asked
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.remote.outgoing_picture import outgoing_picture
from molmo_ros.remote.remote_load import RemoteChoice, fallback_molmo, remote_molmo
from molmo_ros.sim.renderer import add_noise, render
from molmo_ros.sim.scene import Scene

NAME = "benchmark/Molmo2-8B"
WORDS = [
    "<points",
    " coords",
    '="',
    "1",
    " ",
    "1",
    " ",
    "2",
    "5",
    "0",
    " ",
    "5",
    "0",
    "0",
    '">',
    "cup",
    "</points>",
]
SIZES = ((320, 240), (640, 480), (1280, 720), (1920, 1080))
TIME_LIMIT = 4.0
"""Of the queries to a server that hangs [s]."""


class _Prompt(socketserver.StreamRequestHandler):
    """Answers at once; hangs after the first piece where the question says so."""

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle(self) -> None:
        while line := self.rfile.readline():
            length = 0
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            body = self.rfile.read(length)
            if line.startswith(b"GET"):
                listing = json.dumps({"data": [{"id": NAME}]}).encode()
                self._reply(b"application/json", listing)
            elif b"stop here" in body:
                self._reply(b"text/event-stream", _event(WORDS[0]), more=1)
                self.rfile.read(1)
            elif b"hang" in body:
                self.rfile.read(1)
            else:
                self._reply(b"text/event-stream", ANSWER)

    def _reply(self, kind: bytes, body: bytes, more: int = 0) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body) + more)
        self.wfile.write(head + body)


def _event(text: str) -> bytes:
    top = [{"token": f"{text}{i}"[-6:], "logprob": -0.1 - i, "bytes": [1, 2, 3]} for i in range(20)]
    chances = {"content": [{"token": text, "logprob": -0.1, "bytes": [1, 2, 3], "top_logprobs": top}]}
    choice = {"index": 0, "delta": {"content": text}, "logprobs": chances, "finish_reason": None}
    return b"data: " + json.dumps({"id": "chatcmpl-1", "model": NAME, "choices": [choice]}).encode() + b"\n\n"


ANSWER = b"".join(
    [
        *map(_event, WORDS),
        b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "model": "%s"}\n\n'
        % NAME.encode(),
        b"data: [DONE]\n\n",
    ]
)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True


def _serve(told: Connection, port: int) -> None:
    with _Server(("127.0.0.1", port), _Prompt) as server:
        told.send(server.server_address[1])
        server.serve_forever()


class AnsweringProcess:
    """The server, in a process that can be killed."""

    def __init__(self, port: int = 0) -> None:
        here, there = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(there, port), daemon=True
        )
        self.process.start()
        self.port = here.recv()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Median wall time [ms]; the first three are not counted."""
    times = []
    for _ in range(repeats + 3):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times[3:])


def bare_socket(port: int, size: int, repeats: int) -> float:
    """As many bytes to the same server and back without any client library [ms]."""
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size

        def ask() -> None:
            link.sendall(request)
            read = b""
            while not read.endswith(b"[DONE]\n\n"):
                read += link.recv(1 << 20)

        return milliseconds(ask, repeats)


def overhead(server: AnsweringProcess, repeats: int) -> None:
    print("| picture | PNG | coding [ms] | query [ms] | bare socket [ms] | JPEG 95 | coding | query |")
    print("|---|---|---|---|---|---|---|---|")
    for width, height in SIZES:
        picture = add_noise(render(Scene.random(1), width, height).rgb, np.random.default_rng(1))
        cells = [f"{width} x {height}"]
        for quality in (0, 95):
            model = remote_molmo(server.url, jpeg_quality=quality)
            ready = model.encode(picture)
            few = max(10, repeats // (1 + width * height // 300_000))
            coding = milliseconds(lambda ready=picture, q=quality: outgoing_picture([ready], q), few // 2)
            query = milliseconds(lambda m=model, r=ready: m.point(r, "cup"), few)
            cells += [f"{len(ready.urls[0]) / 1e3:.0f} kB", f"{coding:.1f}", f"{query:.1f}"]
            if not quality:
                cells.append(f"{bare_socket(server.port, len(ready.urls[0]) + 400, few):.1f}")
            model.close()
        print(f"| {' | '.join(cells)} |")
    print(
        "\n| questions about one picture of 640 x 480 at once | all answered [ms] | each [ms] |\n|---|---|---|"
    )
    model = remote_molmo(server.url, jpeg_quality=95)
    ready = model.encode(add_noise(render(Scene.random(1), 640, 480).rgb, np.random.default_rng(1)))
    for count in (1, 4, 16):
        queries = [ImageQuery("", Asked.POINTS, f"cup {number}") for number in range(count)]
        took = milliseconds(lambda q=queries: model.answers(ready, q), repeats // count + 5)
        print(f"| {count} | {took:.1f} | {took / count:.1f} |")
    model.close()


def cuts(server: AnsweringProcess, count: int) -> None:
    local = load_molmo("tiny")
    picture = render(Scene.random(1), 640, 480).rgb
    alone = milliseconds(lambda: local.point(picture, "the ball"), count)
    after, hanging = [], []
    for _ in range(count):
        model = fallback_molmo(RemoteChoice(server.url), lambda: local, "tiny")
        ready = model.encode(picture)
        begun: list[float] = []

        def cut(_text: str, begun: list[float] = begun, server: AnsweringProcess = server) -> None:
            begun.append(time.perf_counter())
            threading.Thread(target=server.process.kill).start()

        # The first piece has come when the server is killed.
        query = ImageQuery("stop here", Asked.WORDS, on_text=lambda t, b=begun, c=cut: None if b else c(t))
        (answer,) = model.answers(ready, [query])
        after.append((time.perf_counter() - begun[0]) * 1e3)
        assert "answered by tiny" in getattr(answer, "error", ""), answer
        model.close()
        server.kill()
        server = AnsweringProcess(server.port)
    for _ in range(min(count, 5)):
        model = fallback_molmo(RemoteChoice(server.url), lambda: local, "tiny")
        started = time.perf_counter()
        model.ask(picture, "hang", options=GenerateOptions(time_limit=TIME_LIMIT))
        hanging.append((time.perf_counter() - started) * 1e3)
        model.close()
    server.kill()
    print("\n| | to the next answer [ms] |\n|---|---|")
    print(f"| the fallback alone, the embedded model | {alone:.0f} |")
    print(f"| the server's process is killed in the middle of an answer | {statistics.median(after):.0f} |")
    print(f"| the server hangs, time limit {TIME_LIMIT:g} s | {statistics.median(hanging):.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--cuts", type=int, default=10)
    args = parser.parse_args()
    server = AnsweringProcess()
    overhead(server, args.repeats)
    cuts(server, args.cuts)


if __name__ == "__main__":
    main()
