"""The launch file: always by its syntax tree, and run where launch is installed."""

import ast
import importlib.util
from pathlib import Path

import pytest

from molmo_ros.node.parameters import SPECS

ROOT = Path(__file__).parents[2]
FILE = ROOT / "launch" / "molmo.launch.py"
TREE = ast.parse(FILE.read_text())
ARGUMENTS = {
    "image",
    "depth",
    "camera_info",
    "query_topic",
    "model",
    "engine",
    "engine_path",
    "query",
    "max_crops",
    "latency_target",
    "params_file",
    "namespace",
    "use_sim_time",
    "log_level",
}


def calls(name):
    return [
        node
        for node in ast.walk(TREE)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def keywords(call):
    return {keyword.arg: keyword.value for keyword in call.keywords}


def test_arguments_are_documented():
    declared = {call.args[0].value: keywords(call) for call in calls("DeclareLaunchArgument")}
    assert set(declared) == ARGUMENTS
    for name, given in declared.items():
        assert len(given["description"].value) > 10, name
        assert "default_value" in given, name


def test_every_argument_is_used_and_every_use_is_declared():
    uses = calls("value") + calls("LaunchConfiguration")
    used = {call.args[0].value for call in uses if isinstance(call.args[0], ast.Constant)}
    assert used == ARGUMENTS


def test_parameters_exist():
    names = {key.value for node in ast.walk(TREE) if isinstance(node, ast.Dict) for key in node.keys}
    assert names - {"use_sim_time"} <= set(SPECS)
    assert {"model", "query", "use_sim_time"} <= names


def test_executable_is_installed_and_topics_exist():
    (node,) = calls("Node")
    given = keywords(node)
    scripts = [
        text.value
        for text in ast.walk(ast.parse((ROOT / "setup.py").read_text()))
        if isinstance(text, ast.Constant) and isinstance(text.value, str) and "=" in text.value
    ]
    assert f"{given['executable'].value} = molmo_ros.node.molmo_node:main" in scripts
    source = ast.parse((ROOT / "molmo_ros" / "node" / "molmo_node.py").read_text())
    topics = {
        call.args[1].value
        for call in ast.walk(source)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("create_subscription", "_subscribe_camera")
        and isinstance(call.args[1], ast.Constant)
    }
    remapped = {pair.elts[0].value for pair in given["remappings"].elts}
    assert remapped == topics == {"image", "depth", "camera_info", "query"}


GIVEN = {
    "model": "/models/molmo",
    "engine": "onnx",
    "engine_path": "7",
    "query": "7",
    "max_crops": "4",
    "latency_target": "2",
    "use_sim_time": "true",
}
TYPES = {"use_sim_time": lambda text: text == "true", "max_crops": int, "latency_target": float}


@pytest.mark.parametrize("given", [{}, GIVEN])
def test_launch_makes_the_node(given):
    """Run by launch itself, where it is installed: the arguments evaluate to the node's parameters."""
    pytest.importorskip("launch_ros")
    from launch.actions import DeclareLaunchArgument, OpaqueFunction
    from launch_ros.actions import Node
    from launch_ros.utilities import evaluate_parameters

    from launch import LaunchContext

    spec = importlib.util.spec_from_file_location("molmo_launch", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = LaunchContext()
    context.launch_configurations.update({"params_file": str(ROOT / "config" / "molmo.yaml"), **given})
    nodes = []
    for entity in module.generate_launch_description().entities:
        made = entity.execute(context)
        if isinstance(entity, DeclareLaunchArgument):
            assert entity.name in context.launch_configurations
        if isinstance(entity, OpaqueFunction):
            nodes = made
    assert [type(node) for node in nodes] == [Node]
    evaluated = evaluate_parameters(context, nodes[0]._Node__parameters)
    values = {name: value for part in evaluated if isinstance(part, dict) for name, value in part.items()}
    typed = {name: TYPES.get(name, str)(text) for name, text in ({"use_sim_time": "false"} | given).items()}
    assert values == typed
    assert {name: type(value) for name, value in values.items()} == {
        name: type(value) for name, value in typed.items()
    }
