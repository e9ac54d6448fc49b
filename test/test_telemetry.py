# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Nothing leaves this machine: what each entry of the package looks up and connects to, and what it leaves behind.

Every process runs with `traffic.c` preloaded, which counts and refuses, and with a home and a temporary folder of its
own. Its shell has switched on all that the package switches off.
"""

import json
import os
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from molmo_ros import telemetry

ROOT = Path(__file__).parents[1]
ON = {
    "ORT_DISABLE_TELEMETRY": "0",
    "HF_HUB_DISABLE_TELEMETRY": "0",
    "HF_XET_TELEMETRY_ENABLED": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "0",
    "DO_NOT_TRACK": "0",
}
SERVING = 12
"""How long the demo goes on with its node loaded [s]: onnxruntime's client looks up its collector 9 s after that."""
COMMANDS = [
    ["point", "docs/demo.png", "red cube", "--engine", "onnx"],
    ["ask", "docs/demo.png", "what is there?"],
    ["count", "docs/demo.png", "cube"],
    ["describe", "docs/demo.png"],
    ["models"],
    ["engines", "list"],
    ["parity", "test/vectors/molmo2-4b-tiny"],
    ["build", "tiny", "--target", "onnx", "--precision", "fp32", "--no-quality"],
    ["bag", "BAG", "--query", "mug"],
]
FIRST_ANSWER = "    query "
"""How the demo's table begins, once its node has loaded the model and answered."""
DEMO = "demo with node and simulated camera"
SERVER = "server that is asked"
SERVED = "asked"
"""What its process says once a client had an answer."""
PORT = 18341
UNTIL = {DEMO: FIRST_ANSWER, SERVER: SERVED}
"""What those that go on say once they are at work."""
ENTRIES = {
    "command line": """
import json, sys
from molmo_ros.cli.main import main
assert not any([main(command) for command in json.loads(sys.argv[1])])
""",
    "library": """
import numpy
from molmo_ros import Molmo
import onnxruntime
Molmo.from_pretrained("tiny").count(numpy.zeros((64, 64, 3), "u1"), "cup")
""",
    "benchmarks": "import benchmarks.runtimes, onnxruntime, transformers",
    "tests": "import pytest; pytest.main(['-q', '--collect-only', '-p', 'no:cacheprovider', 'test/engine/runtimes'])",
    DEMO: "import sys; from molmo_ros.demo.__main__ import main; sys.exit(main())",
    SERVER: f"""
import base64, sys, threading
from molmo_ros.cli.main import main
import openai

def ask():
    picture = base64.b64encode(open("docs/demo.png", "rb").read()).decode()
    part = {{"type": "image_url", "image_url": {{"url": "data:image/png;base64," + picture}}}}
    client = openai.OpenAI(base_url="http://127.0.0.1:{PORT}/v1", api_key="x", max_retries=60)
    messages = [{{"role": "user", "content": [part, {{"type": "text", "text": "what is there?"}}]}}]
    client.chat.completions.create(model="tiny", messages=messages)
    print("{SERVED}", flush=True)

threading.Thread(target=ask, daemon=True).start()
sys.argv = ["molmo-ros", "serve", "--port", "{PORT}", "--engine", "onnx"]
sys.exit(main())
""",
}
EXPECTED = {".ros", "molmo_ros"}
"""What may be new in a home: ROS' log, and where engines and models are kept."""


class Watched:
    """Runs a Python with everything that it does towards the network counted.

    Args:
        folder: Of its own, not there yet.
        library: `traffic.c`, compiled.
    """

    def __init__(self, folder, library):
        self.home, self.temporary, self._log = folder / "home", folder / "tmp", folder / "traffic"
        for path in (self.home, self.temporary):
            path.mkdir(parents=True)
        drop = ("XDG_CACHE_HOME", "HF_HOME", "HF_HUB_OFFLINE", "ROS_LOG_DIR")
        self._environment = {name: value for name, value in os.environ.items() if name not in drop} | ON
        self._environment |= {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "MOLMO_ROS_HOME": str(self.home / "molmo_ros"),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TRAFFIC_LOG": str(self._log),
            "LD_PRELOAD": str(library),
        }

    def run(self, arguments, until=None):
        """Run to its end, or interrupt it some time after a line of its output; returns its exit code and output."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines = []
        for line in process.stdout if until else ():
            lines.append(line)
            if line.startswith(until):
                break
        try:
            output, _ = process.communicate(timeout=SERVING if until else 120)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=60)
        return process.returncode, "".join(lines) + output

    @property
    def traffic(self):
        """What it tried, such as `getaddrinfo example.org`, in the order in which it did."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    @property
    def left(self):
        """What is new in its home and its temporary folder."""
        return {path.name for folder in (self.home, self.temporary) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    into = tmp_path_factory.mktemp("traffic") / "traffic.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", into, ROOT / "test/traffic.c"], check=True
    )
    return into


@pytest.fixture
def watched(library, tmp_path):
    return Watched(tmp_path / "watched", library)


def test_the_count_sees_look_ups_and_packets_but_not_loopback(watched):
    """The measure itself, or all below would mean nothing."""
    code = """
import socket, subprocess, sys
def attempt(what, *arguments):
    try: what(*arguments)
    except OSError: pass
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
attempt(socket.getaddrinfo, "localhost", 9)
attempt(udp.sendto, b"x", ("127.0.0.1", 9))
attempt(socket.create_connection, ("127.0.0.1", 9), 0.1)
if len(sys.argv) == 1:
    attempt(socket.getaddrinfo, "example.invalid", 9)
    attempt(socket.create_connection, ("192.0.2.1", 9), 0.1)
    attempt(udp.sendto, b"x", ("192.0.2.2", 9))
    attempt(udp.sendmsg, [b"x"], [], 0, ("239.255.0.1", 9))
    subprocess.run([sys.executable, "-c", "import socket; socket.gethostbyname('child.invalid')"])
udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
attempt(udp.sendto, b"x", ("239.255.0.1", 9))
"""
    watched.run(["-c", code, "this machine"])
    assert watched.traffic == []
    watched.run(["-c", code])
    assert watched.traffic[:-1] == [
        "getaddrinfo example.invalid",
        "connect 192.0.2.1",
        "sendto 192.0.2.2",
        "sendmsg 239.255.0.1",
    ]
    assert "child.invalid" in watched.traffic[-1]


@pytest.fixture(scope="module")
def runs(library, tmp_path_factory):
    """Every entry has run: its exit code, its output and what was counted."""
    for package in ("onnxruntime", "rclpy", "rosbags", "mujoco", "transformers", "starlette", "openai"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("entries")
    sys.path.insert(0, str(ROOT / "test" / "bag"))
    from recordings import recorded

    from molmo_ros.sim.renderer import render
    from molmo_ros.sim.scene import Scene

    bag = recorded(render(Scene.random(0), 160, 120), 1).write(folder / "in", mcap=True)
    commands = [[str(bag) if part == "BAG" else part for part in command] for command in COMMANDS]

    arguments = {"command line": [json.dumps(commands)], DEMO: ["--output", str(folder / "demo")]}

    def run(name):
        watched = Watched(folder / name.replace(" ", "_"), library)
        command = ["-c", ENTRIES[name], *arguments.get(name, [])]
        return watched.run(command, UNTIL.get(name)), watched

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(reversed(ENTRIES), pool.map(run, reversed(ENTRIES)), strict=True))


@pytest.mark.parametrize("name", ENTRIES)
def test_no_entry_reaches_out_or_leaves_a_trace(runs, name):
    (code, output), watched = runs[name]
    assert code == 0 or (name == DEMO and code == 130 and FIRST_ANSWER in output), output
    assert watched.traffic == []
    assert watched.left <= EXPECTED


def test_only_fetch_asks_and_only_the_hub(watched):
    pytest.importorskip("huggingface_hub")
    code, output = watched.run(["-m", "molmo_ros.cli.main", "fetch", "molmo2-4b"])
    assert code == 1 and "Traceback" not in output
    assert set(watched.traffic) == {"getaddrinfo huggingface.co"}
    assert watched.left <= EXPECTED


def test_onnxruntime_before_the_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    with pytest.warns(RuntimeWarning, match="import molmo_ros first"):
        telemetry.switch_off()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        telemetry.switch_off()
