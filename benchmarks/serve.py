# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How much `molmo-ros serve` answers in a second, and how long a client waits for its first point.

    python -m benchmarks.serve [--model tiny] [--engine torch] [--threads 1] [--rounds 6] [--clients 1 4 16]

A server in a process of its own and clients in this one, each with one question at a time over a connection that stays
open, as a stream: what to point at is something that is there, pictures are of 640x480, JPEG. In turns with questions
about the same picture taken together, and one at a time; and where all clients ask about the same pictures, each for
another thing, or each about its own. A picture is new to the server when it is first asked about. Medians of all
questions.

With --overhead also what a question takes beyond the model: the same ones in this process, and over loopback.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import re
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import cv2
import numpy as np

from molmo_ros.sim.renderer import add_noise, render
from molmo_ros.sim.scene import SENSOR, Scene

SCENES = 8
QUALITY = 92
"""Of the JPEGs."""


@dataclass
class ClientTimes:
    """What clients have seen.

    Attributes:
        first_point: From sending a question to its first point [s].
        whole: From sending it to its end [s].
    """

    first_point: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)


class MeasuredServer:
    """`molmo-ros serve` in a process of its own; a context manager.

    Attributes:
        port: Where it is.
    """

    def __init__(self, arguments: list[str]) -> None:
        command = [sys.executable, "-m", "molmo_ros.cli.main", "serve", "--port", "0", *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r":(\d+)/v1", line)
        if found is None:
            raise SystemExit(f"the server does not serve: {line}")
        self.port = int(found[1])

    def __enter__(self) -> MeasuredServer:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.terminate()
        self._process.wait()


class NoisyPictures:
    """Frames of a few scenes, each time with other noise: no two are the same."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        scenes = [Scene.random(seed + number) for number in range(SCENES)]
        self._frames = [render(scene, *SENSOR).rgb for scene in scenes]
        self._names = [sorted({thing.name for thing in scene.objects}) for scene in scenes]

    def new(self, number: int) -> tuple[str, list[str]]:
        """A data URL, and what is there."""
        rgb = add_noise(self._frames[number % SCENES], self._rng, 2.0)
        coded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        url = "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode()
        return url, self._names[number % SCENES]


def body(url: str, label: str, model: str, stream: bool = True) -> bytes:
    content = [{"type": "image_url", "image_url": {"url": url}}]
    asked = {"model": model, "messages": [{"role": "user", "content": content}], "stream": stream}
    return json.dumps(asked | {"molmo": {"kind": "point", "label": label}}).encode()


def ask(connection: http.client.HTTPConnection, question: bytes, times: ClientTimes) -> None:
    """One question; what it took is noted."""
    started = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", question, {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"refused: {response.read().decode()}")
    first = None
    for line in response:
        if first is None and b'"molmo": {"point"' in line:
            first = time.perf_counter() - started
    response.read()  # or the connection cannot be used again
    times.whole.append(time.perf_counter() - started)
    if first is not None:
        times.first_point.append(first)


def all_clients(port: int, questions: list[list[bytes]]) -> tuple[ClientTimes, float]:
    """Each client's questions in turn, all clients at once; what they saw, and how long all took [s]."""
    times, begin = ClientTimes(), threading.Barrier(len(questions) + 1)

    def client(mine: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        connection.connect()
        begin.wait()
        for question in mine:
            ask(connection, question, times)
        connection.close()

    threads = [threading.Thread(target=client, args=(mine,)) for mine in questions]
    for thread in threads:
        thread.start()
    begin.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return times, time.perf_counter() - started


def questions_of(
    pictures: NoisyPictures, clients: int, rounds: int, shared: bool, model: str
) -> list[list[bytes]]:
    """For each client its questions."""
    asked: list[list[bytes]] = [[] for _ in range(clients)]
    for number in range(rounds):
        common = pictures.new(number)
        for client in range(clients):
            url, names = common if shared else pictures.new(number + client)
            asked[client].append(body(url, names[client % len(names)], model))
    return asked


def table(args: argparse.Namespace) -> None:
    """Requests a second and time to the first point, packed and one at a time."""
    model = args.name
    arguments = [
        "--model",
        args.model,
        "--name",
        model,
        "--engine",
        args.engine,
        "--threads",
        str(args.threads),
    ]
    arguments += ["--device", args.device, "--dtype", args.dtype]
    print("| clients | pictures | packed: requests/s, first point [ms] | one at a time | times as many |")
    print("|---|---|---|---|---|")
    with (
        MeasuredServer([*arguments, "--most-together", "32"]) as packed,
        MeasuredServer([*arguments, "--most-together", "1"]) as single,
    ):
        pictures = NoisyPictures(args.seed)
        for server in (packed, single):  # the first questions are slower
            all_clients(server.port, questions_of(pictures, 1, 2, True, model))
        for clients in args.clients:
            for shared in (True, False):
                found = []
                for server in (packed, single):
                    asked = questions_of(pictures, clients, args.rounds, shared, model)
                    times, took = all_clients(server.port, asked)
                    found.append((len(times.whole) / took, 1e3 * statistics.median(times.first_point)))
                row = " | ".join(f"{rate:.1f}, {first:.0f}" for rate, first in found)
                what = "the same" if shared else "each its own"
                print(f"| {clients} | {what} | {row} | {found[0][0] / found[1][0]:.2f} |", flush=True)


def overhead(args: argparse.Namespace) -> None:
    """The same questions about encoded pictures: in this process, and over loopback."""
    from molmo_ros.engine.load import load_molmo

    molmo = load_molmo(
        args.model, engine=args.engine, device=args.device, dtype=args.dtype, threads=args.threads
    )
    arguments = [
        "--model",
        args.model,
        "--name",
        args.name,
        "--engine",
        args.engine,
        "--threads",
        str(args.threads),
    ]
    arguments += ["--device", args.device, "--dtype", args.dtype]
    direct, served = [], []
    with MeasuredServer(arguments) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
        pictures = NoisyPictures(args.seed)
        for number in range(SCENES):
            url, names = pictures.new(number)
            coded = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
            encoded = molmo.encode(cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB))
            question = body(url, names[0], args.name, stream=False)
            for _ in range(args.rounds):
                started = time.perf_counter()
                molmo.point(encoded, names[0])
                direct.append(time.perf_counter() - started)
                times = ClientTimes()
                ask(connection, question, times)
                served += times.whole
    print("\n| a question about a picture that was encoded before | ms |\n|---|---|")
    print(f"| in the same process | {1e3 * statistics.median(direct):.1f} |")
    print(f"| over loopback | {1e3 * statistics.median(served):.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--name", default="model", help="what it is called")
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=6, help="questions of each client")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seed", type=int, default=91_000)
    parser.add_argument("--overhead", action="store_true")
    args = parser.parse_args()
    table(args)
    if args.overhead:
        overhead(args)


if __name__ == "__main__":
    main()
