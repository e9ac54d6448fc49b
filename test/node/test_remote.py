# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The node with a model behind a server: its answers, its diagnostics, and what it does while the server is away."""

import signal
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

sys.path.insert(0, str(Path(__file__).parents[1] / "remote"))

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from scripted_server import ScriptedServer, say  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from molmo_ros.remote.server_address import KEY  # noqa: E402
from molmo_ros.sim.renderer import render  # noqa: E402
from molmo_ros.sim.scene import SENSOR, Scene  # noqa: E402

NODE = "../../molmo_ros/node/process.py"
SECRET = "sk-of-the-robot-51c"
PATIENCE = 60
SAID = say('<points coords="1 1 500 500">thing</points>')


class Watcher:
    """What the node's diagnostics say about its server."""

    def __init__(self, robot):
        self.robot, self.status, self.all = robot, None, ""
        self.subscription = robot.node.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_array, 10
        )

    def _on_array(self, message):
        self.all += str(message)
        self.status = next((one for one in message.status if one.name == "molmo_node: server"), self.status)

    def until(self, state, level):
        """The values, once the server is in that state."""
        self.status = None
        self.robot.spin_until(lambda: self.status is not None and self.values()["server_state"] == state)
        assert self.status.level == level, self.status
        return self.values()

    def values(self):
        return {one.key: one.value for one in self.status.values}


@pytest.fixture
def server():
    running = ScriptedServer(SAID)
    yield running
    running.stop()


@pytest.fixture
def watcher(robot):
    watching = Watcher(robot)
    yield watching
    robot.node.destroy_subscription(watching.subscription)
    if robot.process:
        robot.stop()


@pytest.fixture
def frame(make):
    """A view with something that the embedded model finds, as an image message, and that thing's name."""
    import array

    from sensor_msgs.msg import Image

    scene = Scene.random(30_001)
    rgb, names = render(scene, *SENSOR).rgb, [thing.name for thing in scene.objects]
    height, width = rgb.shape[:2]
    image = Image(width=width, height=height, encoding="rgb8", step=width * 3)
    image.data = array.array("B", rgb.tobytes())
    return image, next(name for name in names if names.count(name) == 1)


def middle(result):
    return [(point["x"], point["y"]) for point in result["points"]] == [(320, 240)]


def test_asked_cut_answered_here_and_back(robot, watcher, server, frame, monkeypatch, tmp_path):
    image, name = frame
    monkeypatch.setenv(KEY, SECRET)
    words = (tmp_path / "words").open("w+")
    arguments = ["engine:=remote", f"server:={server.url}", "fallback_model:=tiny", "fallback_engine:=torch"]
    robot.start(*(word for one in arguments for word in ("-p", one)), script=NODE, output=words)

    robot.send_frame(image)
    result = robot.ask(f"the {name}")
    assert result["status"] == "FOUND" and middle(result) and "answered by" not in result["reason"]
    assert {one.headers["authorization"] for one in server.requests} == {f"Bearer {SECRET}"}
    values = watcher.until("up", DiagnosticStatus.OK)
    assert values["server"] == f"{server.url}/v1" and values["server_model"] == server.name
    assert float(values["server_total_median_ms"]) > 0 and values["server_failures"] == "0"
    assert values["fallback"].startswith("tiny")

    server.stop()
    robot.send_frame(image)
    result = robot.ask(f"the {name}")
    assert result["status"] == "FOUND" and not middle(result)
    assert "answered by tiny" in result["reason"] and server.url in result["reason"]
    values = watcher.until("down", DiagnosticStatus.WARN)
    assert "refused" in values["server_reason"] or "ended the connection" in values["server_reason"]
    assert values["fallback_answers"] == "1"

    server.start()
    watcher.until("up", DiagnosticStatus.OK)
    robot.send_frame(image)
    result = robot.ask(f"the {name}")
    assert middle(result) and "answered by" not in result["reason"]

    code = robot.stop(signal.SIGINT)[1]
    words.seek(0)
    everything = words.read() + watcher.all + str(robot.results())
    assert code == 0 and SECRET not in everything


def test_a_hanging_server_and_no_other_model(robot, watcher, server, frame):
    image, name = frame
    arguments = ["engine:=remote", f"server:={server.url}", "server_patience:=0.5"]
    robot.start(*(word for one in arguments for word in ("-p", one)), script=NODE)
    robot.send_frame(image)
    assert middle(robot.ask(f"the {name}"))
    server.chat = lambda link, request: link.wait_for_end()
    robot.send_frame(image)
    result = robot.ask(f"the {name}")
    assert result["status"] == "ERROR" and "took the question and has said nothing for" in result["reason"]
    watcher.until("down", DiagnosticStatus.ERROR)
    server.chat = SAID
    watcher.until("up", DiagnosticStatus.OK)
    robot.send_frame(image)
    assert middle(robot.ask(f"the {name}"))


def test_ends_at_once_while_a_server_hangs(robot, watcher, server, frame):
    image, name = frame
    arguments = ["engine:=remote", f"server:={server.url}", "server_patience:=3000.0"]
    robot.start(*(word for one in arguments for word in ("-p", one)), script=NODE)
    server.chat = lambda link, request: link.wait_for_end()
    robot.send_frame(image)
    robot.publish("query", String(data=name))
    deadline = time.monotonic() + PATIENCE
    while not server.asked:
        robot.spin(0.05)
        assert time.monotonic() < deadline
    assert robot.stop(signal.SIGINT)[1] == 0


def test_a_server_that_refuses_is_told_at_once(robot, server):
    server.models = lambda link: link.json({}, "401 Unauthorized")
    arguments = ["engine:=remote", f"server:={server.url}"]
    robot.start(*(word for one in arguments for word in ("-p", one)), script=NODE, managed=True)
    assert not robot.change_state("configure")
    errors = robot.stop()[2]
    assert "the model could not be loaded" in errors and f"set {KEY} in the environment" in errors
