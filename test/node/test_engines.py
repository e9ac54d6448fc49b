# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The node with the engines that it can be given, and those that are not there."""

import re

import pytest

NODE = "../../molmo_ros/node/process.py"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("engine:=tensorrt",), "no tensorrt engine was built for tiny.*molmo-ros build tiny --target this"),
        (("engine:=onnx", "engine_path:=/no/such/engine"), "neither an engine's folder nor its name"),
        (("engine:=onnx", "dtype:=float16"), "dtype float16 goes with engine torch"),
    ],
)
def test_an_engine_that_is_not_there_ends_the_node(robot, arguments, message, monkeypatch, tmp_path):
    """Nothing is built at start; the command that would is named."""
    monkeypatch.setenv("MOLMO_ROS_HOME", str(tmp_path))
    words = [word for argument in arguments for word in ("-p", argument)]
    robot.start(*words, script=NODE, wait=False)
    output, errors = robot.process.communicate(timeout=60)
    code, robot.process = robot.process.returncode, None
    assert code == 1 and re.search(message, output + errors), output + errors
    assert "Traceback" not in errors and not list(tmp_path.glob("engines/*/"))


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_the_engine_can_be_chosen(robot, make, engine):
    robot.start("-p", f"engine:={engine}", "-p", "max_frame_age:=0.0", script=NODE)
    robot.send_frame(make.picture(640, 480))
    assert robot.ask("how many things are there?", patience=60)["status"] in (
        "FOUND",
        "NOT_FOUND",
        "ANSWERED",
    )
    assert f"engine {engine}" in robot.stop()[2]
