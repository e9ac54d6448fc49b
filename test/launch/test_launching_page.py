# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""docs/launching.md: its blocks parse, name what exists, and run where launch is installed."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from molmo_ros.node.parameters.declaration import SPECS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "launching.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
SHELL = [text for kind, text in BLOCKS if kind == ""]
LAUNCH_FILE = ast.parse((ROOT / "launch" / "molmo.launch.py").read_text())
CALLS = [node for node in ast.walk(LAUNCH_FILE) if isinstance(node, ast.Call)]
ARGUMENTS = {
    call.args[0].value
    for call in CALLS
    if getattr(call.func, "id", "") in ("Argument", "Parameter") and isinstance(call.args[0], ast.Constant)
} | {
    name.value
    for call in CALLS
    if getattr(call.args[0] if call.args else None, "id", "") == "of_the_node"
    for name in call.args[1].elts
}


def test_page_has_blocks():
    assert len(ARGUMENTS) == 34
    assert len(PYTHON) >= 5 and len(SHELL) >= 2


@pytest.mark.parametrize("text", PYTHON)
def test_python_parses_and_gives_arguments_that_exist(text):
    given = {
        keyword.arg
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "molmo"
        for keyword in call.keywords
    }
    assert given and given <= ARGUMENTS


@pytest.mark.parametrize("text", SHELL)
def test_commands_give_arguments_that_exist(text):
    assert set(re.findall(r"(\w+):=", text)) <= ARGUMENTS
    assert "ros2 launch molmo_ros molmo.launch.py" in text


def test_the_readmes_include_gives_arguments_that_exist():
    readme = (ROOT / "README.md").read_text()
    (text,) = re.findall(r"```python\n(IncludeLaunchDescription.*?)```", readme, re.DOTALL)
    (given,) = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Dict)]
    assert {key.value for key in given.keys} <= ARGUMENTS


def test_parameter_file_is_one_that_the_node_accepts():
    (text,) = [text for kind, text in BLOCKS if kind == "yaml"]
    parameters = yaml.safe_load(text)["/**"]["ros__parameters"]
    del parameters["qos_overrides"]
    assert parameters
    for name, value in parameters.items():
        assert SPECS[name].error(value) == "", name


def test_descriptions_are_made():
    """Each block builds on those before it, as the page says."""
    pytest.importorskip("launch_ros")
    from launch import LaunchDescription

    names = {}
    for text in PYTHON:
        exec(compile(text, "launching.md", "exec"), names)
        assert isinstance(names["generate_launch_description"](), LaunchDescription)
