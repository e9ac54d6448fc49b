# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The managed node: its states through the services that life-cycle managers use."""

import re
import signal
import time
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from molmo_msgs.srv import Ask
from rcl_interfaces.srv import GetParameters
from std_msgs.msg import String


@pytest.fixture
def managed(robot):
    """Starts a node that a manager configures."""

    def start(*arguments):
        robot.start("-p", "max_frame_age:=60.0", *arguments, managed=True)
        return robot

    yield start
    if robot.process:
        robot.stop()


def settle(robot):
    """Until the node listens to the camera, and has a frame."""
    robot.spin_until(lambda: robot.node.count_subscribers("image"))
    robot.meet()
    robot.send_frame()


def wait_for_state(robot, state):
    deadline = time.monotonic() + 20
    while robot.state() != state:
        assert time.monotonic() < deadline, f"{robot.state()} instead of {state}"
        robot.spin(0.1)


def ask(robot, question):
    return robot.record(robot.call(Ask, "ask", question=question).result)


def resident(robot):
    """Memory of the node [MB]."""
    status = Path(f"/proc/{robot.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1e3


def ended(robot, patience=20):
    """Exit code and log of a node that ends by itself."""
    output, errors = robot.process.communicate(timeout=patience)
    code, robot.process = robot.process.returncode, None
    return code, output + errors


def test_a_whole_life(managed):
    robot = managed("-p", "model:=heavy", "-p", "qos_overrides./image.subscription.reliability:=reliable")
    assert robot.state() == "unconfigured"
    empty = resident(robot)
    result = ask(robot, "what?")
    assert (result["status"], result["reason"]) == ("ERROR", "the node is unconfigured: activate it first")
    status, goal = robot.goal(prompt="mug").end()
    assert (status, goal.status) == ("ABORTED", "ERROR") and "unconfigured" in goal.reason

    assert robot.change_state("configure")
    assert robot.state() == "inactive"
    assert resident(robot) > empty + 150
    assert "inactive" in ask(robot, "what?")["reason"]
    assert robot.node.count_subscribers("image") == 0

    assert robot.change_state("activate")
    assert robot.state() == "active"
    settle(robot)
    assert ask(robot, "what?")["status"] == "ANSWERED"

    assert robot.change_state("deactivate")
    robot.spin_until(lambda: not robot.node.count_subscribers("image"))
    assert robot.change_state("activate")  # the overrides of its topics hold once more
    settle(robot)
    assert ask(robot, "what?")["status"] == "ANSWERED"
    [info] = robot.node.get_subscriptions_info_by_topic("/image")
    assert info.qos_profile.reliability.name == "RELIABLE"

    assert robot.change_state("deactivate")
    assert robot.change_state("cleanup")
    assert robot.state() == "unconfigured"
    assert resident(robot) < empty + 50

    assert robot.change_state("configure") and robot.change_state("activate")
    settle(robot)
    assert ask(robot, "what?")["status"] == "ANSWERED"
    assert robot.change_state("active_shutdown")
    assert robot.state() == "finalized"
    assert "finalized" in ask(robot, "what?")["reason"]
    took, code, errors = robot.stop()
    assert code == 0 and took < 2 and "Traceback" not in errors
    asking = [robot.client(GetState, "get_state"), robot.client(ChangeState, "change_state")]
    robot.spin_until(lambda: not any(client.service_is_ready() for client in asking), patience=5)


def test_deactivating_cancels_what_runs_and_what_waits(managed):
    robot = managed()
    assert robot.change_state("configure") and robot.change_state("activate")
    settle(robot)
    running = robot.goal(prompt="stream 0.1 at " + "0.5,0.5 " * 300).accepted()
    robot.spin_until(lambda: running.feedback)
    waiting = robot.client(Ask, "ask").call_async(Ask.Request(question="waits"))
    robot.publish("query", String(data="waits too"))
    robot.settle()
    started = time.monotonic()
    assert robot.change_state("deactivate")
    assert time.monotonic() - started < 2
    status, result = running.end()
    assert (status, result.status) == ("ABORTED", "CANCELLED")  # nobody asked for its end
    assert result.reason == "the node was deactivated" and result.points
    robot.spin_until(lambda: waiting.done() and len(robot.heard["result"]) == 3)
    assert waiting.result().result.status == "CANCELLED"
    assert {one["reason"] for one in robot.results()} == {"the node was deactivated"}


def test_model_that_cannot_be_loaded_leaves_the_manager_to_decide(managed):
    robot = managed("-p", "model:=broken")
    for _ in range(2):
        assert not robot.change_state("configure")
        assert robot.state() == "unconfigured"
    assert "unconfigured" in ask(robot, "what?")["reason"]
    assert robot.change_state("unconfigured_shutdown")
    assert robot.state() == "finalized"
    _, code, errors = robot.stop()
    assert code == 0 and "no folder broken" in errors


def test_loading_leaves_the_node_responsive_and_endable(managed, gate):
    robot = managed("-p", f"model:={gate}")
    configure = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    loading = robot.client(ChangeState, "change_state").call_async(configure)
    robot.settle()
    for _ in range(5):
        values = robot.call(GetParameters, "get_parameters", names=["model"]).values
        assert values[0].string_value == str(gate)
    assert robot.set(rate=5.0) == "" and "is refused" in robot.set(rate=-1.0)
    assert "configuring" in ask(robot, "what?")["reason"]
    assert not loading.done()
    took, code, _ = robot.stop(signal.SIGINT)
    assert code == 0 and took < 2


def test_transition_that_is_not_allowed_is_refused(managed):
    robot = managed()
    for transition in ("activate", "deactivate", "cleanup", "active_shutdown"):
        assert not robot.change_state(transition)
    assert robot.state() == "unconfigured"
    assert robot.change_state("configure")
    assert not robot.change_state("configure")
    assert robot.change_state("activate")
    assert not robot.change_state("activate")
    assert robot.change_state("deactivate")
    assert robot.change_state("inactive_shutdown")
    assert robot.state() == "finalized"


def test_fault_of_the_gpu_finalizes_the_node(managed, gate):
    robot = managed()
    assert robot.change_state("configure") and robot.change_state("activate")
    settle(robot)
    robot.publish("query", String(data=f"{gate} illegal"))
    waiting = robot.client(Ask, "ask").call_async(Ask.Request(question="asked just after"))
    robot.settle()
    gate.open()
    robot.spin_until(lambda: robot.heard["result"] and waiting.done())
    failed = next(result for result in robot.results() if "illegal" in result["query"])
    assert failed["status"] == "ERROR"
    assert "illegal memory access" in failed["reason"]
    assert waiting.result().result.status == "CANCELLED"
    wait_for_state(robot, "finalized")
    assert "finalized" in ask(robot, "what?")["reason"]
    took, code, errors = robot.stop()
    assert code == 0 and "cannot be used any more in this process" in errors


def test_fault_of_the_gpu_ends_a_node_that_started_itself(robot):
    robot.start()
    robot.send_frame()
    robot.publish("query", String(data="illegal"))
    code, log = ended(robot)
    assert code == 1 and "illegal memory access" in log
    robot.spin(0.3)
    assert [result["status"] for result in robot.results()] == ["ERROR"]


def test_lack_of_memory_is_survived(robot):
    robot.start("-p", "max_frame_age:=60.0")
    robot.send_frame()
    assert robot.ask("boom")["status"] == "ERROR"
    assert robot.ask("thing")["status"] == "NOT_FOUND"
    robot.stop()
