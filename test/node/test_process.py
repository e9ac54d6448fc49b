# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The node as a process: signals, loading, parameters, remapping."""

import os
import signal
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

import pytest
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter
from std_msgs.msg import String

from molmo_ros.node.fast_dds import installed_fast_dds


@pytest.fixture(autouse=True)
def ended(robot):
    """Each test starts its own node."""
    yield
    if robot.process:
        robot.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_an_idle_node(robot, number):
    robot.start()
    took, code, errors = robot.stop(number)
    assert code == 0 and "Traceback" not in errors
    assert took < 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_cancels_an_inference_and_what_waits(robot, number):
    robot.start()
    robot.send_frame()
    robot.publish("query", String(data="sleep 30 at 0.5,0.5"))
    robot.publish("query", String(data="another"))
    robot.settle()
    took, code, errors = robot.stop(number)
    assert code == 0 and "Traceback" not in errors
    assert took < 2
    robot.spin(0.3)
    assert [message.status for message in robot.heard["result"]] == ["CANCELLED", "CANCELLED"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_even_a_model_that_cannot_be_cancelled(robot, number):
    robot.start()
    robot.send_frame()
    robot.publish("query", String(data="hang 30 at 0.5,0.5"))
    robot.spin(0.5)
    took, code, errors = robot.stop(number)
    assert code == 0 and "did not stop" in errors
    assert took < 2
    robot.spin(0.3)
    assert [message.status for message in robot.heard["result"]] == ["CANCELLED"]


def test_signal_while_loading(robot):
    robot.start("-p", "model:=slow", wait=False)
    robot.spin_until(lambda: robot.node.count_publishers("molmo_node/result"))
    took, code, _ = robot.stop()
    assert code == 0
    assert took < 2


def test_queries_wait_for_the_model(robot):
    robot.start("-p", "model:=slow", "-p", "max_frame_age:=0.0")
    robot.send_frame()
    assert robot.ask("at 0.5,0.5")["status"] == "FOUND"


def test_model_that_cannot_be_loaded_ends_the_process(robot):
    robot.start("-p", "model:=broken", wait=False)
    output, errors = robot.process.communicate(timeout=20)
    code, robot.process = robot.process.returncode, None
    assert code == 1
    assert "the model could not be loaded: no folder broken" in output + errors
    assert "Traceback" not in errors


def test_params_file_and_remapping(robot, tmp_path, make):
    import numpy as np

    file = tmp_path / "robot.yaml"
    file.write_text("/**:\n  ros__parameters:\n    max_points: 1\n    rate: 2\n    typo_rate: 3\n")
    robot.start("--params-file", str(file), "-r", "depth:=camera/depth", "-r", "__ns:=/", depth=True)
    robot.send_frame(make.picture(), make.depth(np.ones((48, 64))), make.info())
    result = robot.ask("at 0.5,0.5 0.6,0.5")
    assert len(result["points"]) == 1
    assert "no depth image has arrived" in result["reason"]
    _, _, errors = robot.stop()
    assert "unknown parameter typo_rate" in errors


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("rate:=0.0", "rate = 0.0 is refused: it must be double, 0.01 to 100"),
        ("max_points:=many", "it must be integer, 0 to 10000"),
        ("dtype:=float8", "one of float32, bfloat16, float16"),
        ("engine:=trt", "one of auto, torch, onnx, tensorrt"),
    ],
)
def test_refused_parameter_at_start(robot, argument, message):
    robot.start("-p", argument, wait=False)
    output, errors = robot.process.communicate(timeout=20)
    code, robot.process = robot.process.returncode, None
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("--params-file", "/no/such/file.yaml"),
        ("-p", "no_value"),
        ("--no-such-flag",),
        ("-r", "__node:=bad-name"),
    ],
)
def test_refused_ros_arguments(robot, arguments):
    robot.start(*arguments, wait=False)
    _, errors = robot.process.communicate(timeout=20)
    code, robot.process = robot.process.returncode, None
    assert code == 2
    assert "molmo_node: ROS arguments or environment are wrong" in errors and arguments[-1] in errors
    assert "Traceback" not in errors


def test_parameters_change_while_it_runs(robot, make):
    robot.start()
    client = robot.node.create_client(SetParameters, "molmo_node/set_parameters")
    assert client.wait_for_service(timeout_sec=10)

    def set_value(name, value):
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        future = client.call_async(request)
        robot.spin_until(future.done)
        return future.result().results[0]

    assert set_value("max_points", 1).successful
    robot.send_frame()
    assert len(robot.ask("at 0.5,0.5 0.6,0.5")["points"]) == 1

    assert robot.ask("limits")["text"] == "(None, None)"
    assert set_value("max_crops", 3).successful and set_value("latency_target", 0.5).successful
    result = robot.ask("limits")
    assert result["text"] == "(3, 0.5)"
    assert result["crops"] == (6, 1072)
    robot.ask("limits again")
    assert robot.ask("the unicorn")["crops"] == (0, 0)
    assert not set_value("max_crops", 1001).successful

    refused = set_value("max_points", -1)
    assert not refused.successful
    assert "0 to 10000" in refused.reason
    refused = set_value("queries", ["x" * 5000])
    assert not refused.successful
    assert "at most 4096" in refused.reason
    assert not set_value("model", "other").successful

    robot.clear()
    assert set_value("queries", ["count: cubes"]).successful
    for _ in range(5):
        robot.send_frame(settle=0.1)
    result = robot.next_result(0)
    assert (result["source"], result["count"]) == ("continuous", 3)

    describe = robot.node.create_client(DescribeParameters, "molmo_node/describe_parameters")
    assert describe.wait_for_service(timeout_sec=10)
    future = describe.call_async(DescribeParameters.Request(names=["rate"]))
    robot.spin_until(future.done)
    descriptor = future.result().descriptors[0]
    assert "[Hz]" in descriptor.description and descriptor.additional_constraints == "0.01 to 100"
    assert robot.stop()[2].count("as the moon wishes") == 2  # three queries under two settings


def test_scores_that_overflow_are_told_without_a_traceback_for_each(robot):
    robot.start()
    robot.send_frame()
    results = [robot.ask("overflow") for _ in range(10)]
    assert {(one["status"], one["reason"]) for one in results} == {("ERROR", "the model's scores hold nan")}
    _, _, errors = robot.stop()
    assert "Traceback" not in errors and 1 <= errors.count("scores hold nan") < 10


def test_the_node_imports_without_torch():
    code = "import sys, molmo_ros.node.process; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=_root(), timeout=60).returncode == 0


SHARED_MEMORY = Path("/dev/shm")


def shared_memory(pid):
    """The files of /dev/shm that a process has mapped or open."""
    folder, names = Path(f"/proc/{pid}"), set()
    try:
        names = {line.split()[-1] for line in (folder / "maps").read_text().splitlines()}
        names |= {os.readlink(file) for file in (folder / "fd").iterdir()}
    except OSError:  # it has ended, or closed the file
        pass
    return {name for name in names if fnmatch(name, f"{SHARED_MEMORY}/{installed_fast_dds().shared_memory}")}


class Ending:
    """Looks at a node from its start to its end."""

    def __init__(self, robot, *arguments):
        self._before = {str(path) for path in SHARED_MEMORY.iterdir()}
        robot.start(*arguments, wait=False)
        self._robot, self.held = robot, set()

    def watch(self, until):
        """Collect what it holds until something is so; it may end meanwhile."""
        deadline = time.monotonic() + 60
        while not until() and self._robot.process.poll() is None:
            assert time.monotonic() < deadline
            self.held |= shared_memory(self._robot.process.pid)
            self._robot.executor.spin_once(timeout_sec=0.01)

    def left(self):
        """What is still there of what only this process held, and made; some ports are all domains' own."""
        others = (shared_memory(one.name) for one in Path("/proc").iterdir() if one.name.isdigit())
        made = (self.held - self._before).difference(*others)
        return {name for name in made if os.path.exists(name)}


def _ready(robot):
    return lambda: robot.node.count_subscribers("query") > 0


@pytest.mark.parametrize("how", ["SIGTERM", "inference", "hang", "loading", "broken", "refused"])
def test_no_end_leaves_shared_memory(robot, how):
    """A plain rclpy node leaves none; where the middleware is not ended, its segment of 17 MB stays for ever."""
    arguments = {
        "loading": ("-p", "model:=slow"),
        "broken": ("-p", "model:=broken"),
        "refused": ("-p", "rate:=0.0"),
    }.get(how, ())
    ending = Ending(robot, *arguments)
    published = lambda: robot.node.count_publishers("molmo_node/result") > 0  # noqa: E731
    ending.watch(published if how in ("loading", "broken", "refused") else _ready(robot))
    if how in ("inference", "hang"):
        robot.spin(0.5)
        robot.send_frame()
        robot.publish("query", String(data="hang 30" if how == "hang" else "sleep 30"))
        robot.spin(0.5)
        ending.watch(lambda: True)
    number = signal.SIGTERM if how == "SIGTERM" else signal.SIGINT
    if how not in ("broken", "refused"):
        robot.process.send_signal(number)
    ending.watch(lambda: False)
    assert robot.process.wait() == {"broken": 1, "refused": 2}.get(how, 0)
    assert any("port" not in name for name in ending.held)  # its segment
    assert ending.left() == set()


@pytest.mark.parametrize("module", ["molmo_ros.node.process", "molmo_ros.sim.camera_node"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_still_imports_ends_it_without_a_traceback(module, number):
    """Right after the interpreter has begun with the entry: before rclpy, numpy or MuJoCo are there."""
    code = (
        "import os, runpy, signal, sys\n"
        "class Early:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'rclpy': os.kill(os.getpid(), int(sys.argv.pop(1)))\n"
        "sys.meta_path.insert(0, Early())\n"
        f"runpy.run_module({module!r}, run_name='__main__')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(int(number))],
        cwd=_root(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr


@pytest.mark.parametrize("module", ["molmo_ros.node.process", "molmo_ros.sim.camera_node"])
@pytest.mark.parametrize("arguments", [["-p", "rate:=0.0"], ["-p", "no_value"]])
def test_a_full_disk_changes_no_exit_code(module, arguments):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", module, "--ros-args", *arguments],
            cwd=_root(),
            stdout=full,
            stderr=full,
            timeout=60,
        )
    assert ended.returncode == 2


def test_a_full_disk_does_not_keep_a_node_from_ending(robot):
    with open("/dev/full", "w") as full:
        robot.start(wait=False, output=full)
        robot.spin_until(_ready(robot))
        _, code, _ = robot.stop()
    assert code == 0


def _root():
    return Path(__file__).parents[2]
