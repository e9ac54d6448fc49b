# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A real server in a process of its own, pictures to ask about, and questions by the openai client."""

import base64
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import cv2
import openai
import pytest

from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "import sys; from molmo_ros.cli.main import main; sys.exit(main())", "serve"]
PATIENCE = 60
TOKEN_VARIABLE = "MOLMO_ROS_SERVE_TOKEN"


class ServerProcess:
    """`molmo-ros serve` on a port of its own.

    Attributes:
        url: Where it is.
        port: The same as a number.
        errors: What it writes on stderr.
    """

    def __init__(self, folder: Path, *arguments: str, **environment: str):
        self.errors = folder / "errors"
        # As in a shell: what is printed into a pipe is held back until it is flushed.
        unset = (TOKEN_VARIABLE, "PYTHONUNBUFFERED")
        clean = {name: value for name, value in os.environ.items() if name not in unset}
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [*COMMAND, "--port", "0", *arguments],
                cwd=ROOT,
                env=clean | environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.line = self.process.stdout.readline()
        found = re.search(r"http://\S+:(\d+)/v1", self.line)
        assert found, self.errors.read_text()
        self.url, self.port = found[0], int(found[1])

    def client(self, **settings) -> openai.OpenAI:
        return openai.OpenAI(**self.settings(**settings))

    def settings(self, **settings) -> dict:
        return {"base_url": self.url, "api_key": "anything", "max_retries": 0, "timeout": PATIENCE} | settings

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def metric(self, line: str) -> float:
        """A number of /metrics, by what stands before it."""
        text = urllib.request.urlopen(f"{self.url[:-3]}/metrics", timeout=PATIENCE).read().decode()
        found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.M)
        return float(found[1]) if found else 0.0

    def stop(self, number=signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.stdout.close()


class Table:
    """A simulated table: `rgb`, the same as a data URL, and the names of what stands on it."""

    def __init__(self, seed: int):
        scene = Scene.random(seed)
        frame = render(scene, *SENSOR)
        self.rgb, self.names = frame.rgb, sorted({thing.name for thing in scene.objects})
        self.url = data_url(self.rgb)


def coded(rgb, ending=".png"):
    return cv2.imencode(ending, rgb[..., ::-1])[1].tobytes()


def data_url(rgb, ending=".png", kind=None):
    data = rgb if isinstance(rgb, bytes) else coded(rgb, ending)
    return f"data:{kind or 'image/' + ending[1:]};base64,{base64.b64encode(data).decode()}"


def message(*urls, text=None):
    """A user's message with pictures, and words."""
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": parts + ([{"type": "text", "text": text}] if text else [])}]


def ask(client, *urls, text=None, molmo=None, model="tiny", **fields):
    """One question by the openai client."""
    extra = {"molmo": molmo} if molmo is not None else None
    return client.chat.completions.create(
        model=model, messages=message(*urls, text=text), extra_body=extra, **fields
    )


def assert_same(choice, answer):
    """What a server says is what the model says directly; scores to the last bits, which packing may round."""
    said = choice.molmo if hasattr(choice, "molmo") else choice["molmo"]
    assert choice.message.content == answer.text
    assert said["status"] == answer.status.value and said["count"] == answer.count
    assert [(p["x"], p["y"], p["label"], p["image"], p["index"]) for p in said["points"]] == [
        (p.x, p.y, p.label, p.image, p.index) for p in answer.points
    ]
    scores = [p["score"] for p in said["points"]]
    assert scores == pytest.approx([p.confidence for p in answer.points], abs=1e-4)
    assert said["not_found_probability"] == pytest.approx(answer.not_found_probability, abs=1e-4)
    assert said["calibrated"] == answer.calibrated
