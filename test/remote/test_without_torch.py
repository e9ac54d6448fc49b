# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A small robot has neither weights nor torch: the remote engine works in an interpreter that cannot import it."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from scripted_server import chunk

ROOT = Path(__file__).parents[2]
NO_TORCH = """
import sys

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused}:
            raise ImportError("there is no " + name)

sys.meta_path.insert(0, Refusal())
"""
QUESTION = """
import numpy as np
from molmo_ros import remote_molmo
answer = remote_molmo({url!r}).point(np.zeros((120, 200, 3), np.uint8), "cup")
print(answer.status.value, [(p.x, p.y) for p in answer.points], round(answer.points[0].confidence, 3))
assert "torch" not in sys.modules
"""


def run(code, *refused):
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH.format(refused=refused) + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return done


def points(link, request):
    """An answer with log probabilities, as vLLM streams it: a token a piece."""
    link.begin_stream()
    for text in ("<points", " coords", '="', "1", " 1", " 250", " 500", '">', "cup", "</points>"):
        top = [{"token": text, "logprob": -0.1}, {"token": " 251", "logprob": -2.5}]
        link.event(chunk(text, logprobs={"content": [{"token": text, "logprob": -0.1, "top_logprobs": top}]}))
    link.event(chunk(finish="stop"))
    link.end_stream()


def test_python(server):
    server.chat = points
    done = run(QUESTION.format(url=server.url), "torch", "onnxruntime", "rclpy")
    assert done.returncode == 0, done.stderr
    status, rest = done.stdout.split(" ", 1)
    assert status == "FOUND" and rest.startswith("[(50.0, 60.0)] 0.")


def test_command_line(server, tmp_path, picture):
    server.chat = points
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    arguments = [
        "point",
        str(tmp_path / "a.png"),
        "cup",
        "--engine",
        "remote",
        "--server",
        server.url,
        "--json",
    ]
    done = run(f"from molmo_ros.cli.main import main\nsys.exit(main({arguments!r}))", "torch")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["status"] == "FOUND" and (answer["points"][0]["x"], answer["points"][0]["y"]) == (50, 60)


@pytest.mark.parametrize(
    "options, words",
    [
        ([], "say which with server"),
        (["--server", "http://me:secret@host"], "put the server's key into MOLMO_ROS_SERVER_KEY"),
        (["--server", "http://127.0.0.1:9"], "cannot be reached: Connection refused"),
        (["--server", "http://127.0.0.1:9", "--server-jpeg-quality", "200"], "server_jpeg_quality is 200"),
        (
            ["--server", "http://127.0.0.1:9", "--model", "a", "--server-model", "b"],
            "model 'a' and server_model 'b'",
        ),
        (["--server", "http://127.0.0.1:9", "--engine-path", "x"], "no fallback_model"),
    ],
)
def test_the_command_line_says_what_is_wrong(tmp_path, picture, options, words):
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    arguments = ["point", str(tmp_path / "a.png"), "cup", "--engine", "remote", *options]
    done = run(f"from molmo_ros.cli.main import main\nsys.exit(main({arguments!r}))", "torch")
    assert done.returncode == 2 and words in done.stderr and "secret" not in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_the_client_the_message_names_the_extra(server):
    done = run(QUESTION.format(url=server.url), "torch", "httpx2")
    last = done.stderr.splitlines()[-1]
    assert (
        "engine remote needs httpx2" in last
        and "pip install 'httpx2>=2.12'" in last
        and "extra 'remote'" in last
    )
    # And nothing else needs it.
    assert (
        run(
            "import molmo_ros.engine.load, molmo_ros.cli.main, molmo_ros.node.parameters", "httpx2"
        ).returncode
        == 0
    )
