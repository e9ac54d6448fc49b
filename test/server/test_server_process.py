# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The server as a process: who may ask, how it begins, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import openai
import pytest
from family_checkpoint import write_family_checkpoint
from running_server import COMMAND, PATIENCE, ROOT, TOKEN_VARIABLE, ask, data_url

SMALL = data_url(np.zeros((4, 4, 3), np.uint8))
TOKEN = "correct-horse-battery-staple"


def run(*arguments, code=None, **environment):
    """The command, until it ends by itself: exit code and stderr."""
    clean = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    command = COMMAND if code is None else [sys.executable, "-c", code, "serve"]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stderr


def get(server, path, token=None):
    request = urllib.request.Request(f"{server.url[:-3]}{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        return urllib.request.urlopen(request, timeout=PATIENCE).status
    except urllib.error.HTTPError as error:
        return error.code


def test_only_the_token_opens(serve, tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    servers = [serve(**{TOKEN_VARIABLE: TOKEN}), serve("--token-file", str(tmp_path / "token"))]
    for server in servers:
        for wrong in ("anything", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\u00e4" * len(TOKEN)):
            with pytest.raises((openai.AuthenticationError, UnicodeEncodeError)) as caught:
                ask(server.client(api_key=wrong), SMALL, text="what?")
            assert "invalid_api_key" in str(getattr(caught.value, "code", "invalid_api_key"))
        assert ask(server.client(api_key=TOKEN), SMALL, text="what?").choices
        assert [get(server, path) for path in ("/health", "/metrics", "/v1/models")] == [200, 401, 401]
        assert [get(server, path, TOKEN) for path in ("/health", "/metrics", "/v1/models")] == [200] * 3
        raw = server.connect()
        raw.sendall(
            b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff\r\nConnection: close\r\n\r\n"
        )
        answer = b"".join(iter(lambda raw=raw: raw.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 401 ") and b"www-authenticate: Bearer" in answer
        raw.close()
        assert server.stop() == 0
        assert TOKEN not in server.line + server.process.args.__repr__() + server.errors.read_text()


@pytest.mark.parametrize(
    "arguments, environment, said",
    [
        (["--host", "0.0.0.0"], {}, "give a token (--token-file FILE, or MOLMO_ROS_SERVE_TOKEN"),
        (["--host", "::"], {}, "lets other machines ask"),
        (["--token-file", "/nowhere/token"], {}, "cannot be read from /nowhere/token"),
        ([], {TOKEN_VARIABLE: "short"}, "MOLMO_ROS_SERVE_TOKEN holds no token"),
        ([], {TOKEN_VARIABLE: ""}, "holds no token"),
        ([], {TOKEN_VARIABLE: "with blanks in it"}, "holds no token"),
        (["--host", "192.0.2.1"], {TOKEN_VARIABLE: TOKEN}, "cannot listen on 192.0.2.1 port 8000"),
        (["--port", "70000"], {}, "70000 is no port"),
        (["--port", "0", "--model", "molmo3"], {}, "molmo3"),
        (["--port", "0", "--engine", "tensorrt"], {}, "tensorrt"),
        (["--port", "0", "--max-crops", "5000"], {}, "5000"),
    ],
)
def test_what_cannot_be_served_is_said(arguments, environment, said):
    code, error = run(*arguments, **environment)
    assert code == 2 and said in error and "Traceback" not in error
    assert "with blanks" not in error and "short" not in error.replace(said, "")


def test_a_port_that_is_taken_is_said(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, error = run("--port", port)
    assert code == 2 and f"cannot listen on 127.0.0.1 port {port}" in error


def test_other_machines_may_ask_where_that_is_meant(serve):
    server = serve("--host", "0.0.0.0", "--allow-anyone")
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/v1/models", headers={"Host": "robot.lan"}
    )
    assert urllib.request.urlopen(request, timeout=PATIENCE).status == 200


def test_a_folder_is_called_by_its_name_and_system_messages_may_be_allowed(serve, tmp_path):
    folder = write_family_checkpoint(tmp_path / "my-fine-tune", "molmo2-4b-tiny")
    server = serve("--model", str(folder), "--system-message", "prepend")
    client = server.client()
    assert [model.id for model in client.models.list().data] == ["my-fine-tune"]

    def said(system, text, **molmo):
        messages = [{"role": "system", "content": system}] if system is not None else []
        parts = [{"type": "image_url", "image_url": {"url": SMALL}}, {"type": "text", "text": text}]
        return client.chat.completions.create(
            model="my-fine-tune",
            messages=[*messages, {"role": "user", "content": parts}],
            max_tokens=8,
            extra_body={"molmo": molmo} if molmo else None,
        )

    together, apart = said(None, "Be brief.\nwhat?"), said("Be brief.", "what?")
    assert apart.usage.prompt_tokens == together.usage.prompt_tokens > said("", "what?").usage.prompt_tokens
    assert apart.choices[0].message.content == together.choices[0].message.content
    with pytest.raises(openai.BadRequestError, match="not with point"):
        said("Be brief.", "cup", kind="point")


@pytest.fixture
def rambling(serve, tmp_path):
    """A model that says as much as it may."""
    folder = write_family_checkpoint(tmp_path / "rambling", "molmo2-4b-tiny")

    def start(*arguments):
        return serve("--model", str(folder), "--engine", "torch", *arguments)

    return start


def stream(server, **fields):
    return ask(server.client(), SMALL, text="go on", model="rambling", stream=True, **fields)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl+C", "SIGTERM"])
def test_what_runs_is_answered_before_the_end_and_what_comes_is_not(rambling, number):
    server = rambling("--grace", "30")
    pieces = stream(server, max_tokens=200)
    first = next(iter(pieces))
    server.process.send_signal(number)
    rest = list(pieces)
    assert rest[-1].choices[0].finish_reason == "length" and rest[-1].id == first.id
    assert server.process.wait(PATIENCE) == 0
    assert server.errors.read_text() == ""
    with pytest.raises(openai.APIConnectionError):
        server.client().models.list()


def test_grace_ends(rambling):
    """The answer is cut, and its client is told."""
    server = rambling("--grace", "0.2")
    pieces = stream(server, max_tokens=100_000)
    next(iter(pieces))
    server.process.send_signal(signal.SIGTERM)
    with pytest.raises(openai.APIError, match="the server ends"):
        list(pieces)
    assert server.process.wait(PATIENCE) == 0


def test_a_second_signal_does_not_wait(rambling):
    server = rambling("--grace", "600", "--most-together", "1")
    pieces = stream(server, max_tokens=100_000)
    next(iter(pieces))
    started = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    with pytest.raises((openai.APIConnectionError, OSError)):  # it listens no more: the first signal has come
        for _ in range(PATIENCE * 100):
            server.connect().close()
            time.sleep(0.01)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(PATIENCE) == 0 and time.monotonic() - started < 600
    pieces.close()


def test_output_that_cannot_be_written_ends_no_server(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [*COMMAND, "--port", str(port)], cwd=ROOT, stdout=full, stderr=subprocess.PIPE
        )
    client = openai.OpenAI(
        base_url=f"http://127.0.0.1:{port}/v1", api_key="x", max_retries=0, timeout=PATIENCE
    )
    for _ in range(PATIENCE * 10):
        try:
            assert ask(client, SMALL, text="what?").choices
            break
        except (openai.APIConnectionError, openai.InternalServerError):
            time.sleep(0.1)
    else:
        raise AssertionError("it does not answer")
    process.terminate()
    _, errors = process.communicate(timeout=PATIENCE)
    assert b"Traceback" not in errors


def test_a_model_that_cannot_go_on_ends_the_process():
    """As after a fault of the GPU: whoever waits is told, and the exit code says that it is to be started again."""
    code = """
import sys
import time
from molmo_ros.molmo import pipeline
from molmo_ros.server import model_worker
def answers(self, *_, **__):
    raise RuntimeError("CUDA error: an illegal memory access was encountered")
pipeline.Molmo.answers = answers
model_worker.gpu_is_lost = lambda: True
from molmo_ros.cli.main import main
sys.exit(main())
"""
    command = [sys.executable, "-c", code, "serve", "--port", "0", "--engine", "torch"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = process.stdout.readline().split(" at ")[1].split()[0]
    with pytest.raises(openai.InternalServerError, match="the GPU is lost") as caught:
        ask(openai.OpenAI(base_url=url, api_key="x", max_retries=0, timeout=PATIENCE), SMALL, text="what?")
    assert (caught.value.status_code, caught.value.code) == (503, "gpu_lost")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and "illegal memory access" in errors


def without(names, folder: Path) -> dict[str, str]:
    """An environment whose Python has everything but some packages."""
    packages = Path(np.__file__).parents[1]
    for entry in packages.iterdir():
        if not entry.name.lower().replace("-", "_").startswith(names) and not entry.name.endswith(".pth"):
            (folder / entry.name).symlink_to(entry)
    return {"PYTHONPATH": f"{folder}:{ROOT}"}


def test_without_the_extra_its_name_is_said_and_all_else_works(tmp_path):
    environment = without(("starlette", "uvicorn", "prometheus_client"), tmp_path)
    code = "import sys; from molmo_ros.cli.main import main; sys.exit(main())"

    def command(*arguments):
        return subprocess.run(
            [sys.executable, "-S", "-c", code, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    done = command("serve")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "has no starlette and no uvicorn and no prometheus_client" in done.stderr
    assert "pip install '.[serve]'" in done.stderr
    assert command("serve", "--help").returncode == 0
    asked = command("point", "docs/demo.png", "red cube", "--json")
    assert json.loads(asked.stdout)["status"] in ("FOUND", "NOT_FOUND"), asked.stderr


def test_while_the_model_is_loaded_it_says_so(tmp_path):
    """Weights of tens of gigabytes take minutes: a probe sees that, and clients are told to come again."""
    go_on = tmp_path / "go on"
    code = f"""
import pathlib, sys, time
from molmo_ros.engine import load
real = load.load_molmo
def load_molmo(*arguments, **options):
    while not pathlib.Path({str(go_on)!r}).exists():
        time.sleep(0.01)
    return real(*arguments, **options)
load.load_molmo = load_molmo
from molmo_ros.cli.main import main
sys.exit(main())
"""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", code, "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{port}/v1"
        waiting = openai.OpenAI(base_url=url, api_key="x", max_retries=0, timeout=PATIENCE)
        for _ in range(PATIENCE * 10):  # until it listens
            try:
                urllib.request.urlopen(f"{url[:-3]}/health", timeout=PATIENCE)
            except urllib.error.HTTPError as error:
                assert error.code == 503 and json.loads(error.read()) == {"status": "loading"}
                break
            except OSError:
                time.sleep(0.1)
        with pytest.raises(openai.InternalServerError, match="the model is loading") as caught:
            ask(waiting, SMALL, text="what?")
        assert (caught.value.status_code, caught.value.code) == (503, "model_loading")
        assert waiting.models.list().data[0].molmo == {}
        go_on.touch()
        assert "is served at" in process.stdout.readline()
        assert ask(waiting, SMALL, text="what?").choices
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
        process.stdout.close()
