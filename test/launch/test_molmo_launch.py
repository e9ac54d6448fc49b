# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The launch file: its tables and plain functions always, all of it where launch is installed."""

import ast
import importlib.util
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from molmo_ros.node.parameters.declaration import SPECS
from molmo_ros.node.parameters.topic_arguments import remappings

sys.path.insert(0, str(Path(__file__).parent))
from launch_source import keys_used  # noqa: E402

ROOT = Path(__file__).parents[2]
FILE = ROOT / "launch" / "molmo.launch.py"
TREE = ast.parse(FILE.read_text())
NODE_FOLDER = ROOT / "molmo_ros" / "node"


def plain_parts():
    """The launch file's names that need no launch: everything but its imports and what mentions them."""
    foreign = {
        alias.asname or alias.name
        for node in TREE.body
        if isinstance(node, ast.ImportFrom) and node.module.startswith("launch")
        for alias in node.names
    }
    names, kept = {"NamedTuple": NamedTuple, "SPECS": SPECS}, []
    for node in TREE.body:
        mentioned = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.Assign)) and not mentioned & foreign:
            kept.append(node)
        elif isinstance(node, ast.FunctionDef):
            foreign.add(node.name)
        elif isinstance(node, ast.Assign):
            foreign |= {target.id for target in node.targets}
    exec(compile(ast.Module(kept, []), str(FILE), "exec"), names)
    return names


PLAIN = plain_parts()
PARAMETERS = {parameter.name: parameter for parameter in PLAIN["PARAMETERS"]}
NAMES = PLAIN["PARAMETER_NAMES"]


def process_arguments():
    """The table PROCESS, which mentions launch: each entry's constants by position."""
    (table,) = (
        node.value
        for node in TREE.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "PROCESS"
    )
    return [
        [value.value if isinstance(value, ast.Constant) else None for value in call.args]
        for call in table.elts
    ]


def values(**given):
    """All arguments with their defaults, but for those given."""
    defaults = {argument.name: argument.default for argument in PLAIN["TOPICS"]}
    return defaults | dict.fromkeys(PARAMETERS, "") | given


def test_arguments_are_documented():
    tables = [*PLAIN["TOPICS"], *PLAIN["PARAMETERS"]]
    described = {argument.name: argument.description for argument in tables}
    described |= {entry[0]: entry[2] for entry in process_arguments()}
    assert len(described) == len(tables) + len(process_arguments())
    for name, description in described.items():
        assert len(description) > 10 and description.endswith("."), name


def test_every_argument_of_a_process_is_used_and_every_use_is_declared():
    used = keys_used(TREE, "values")
    assert used == {entry[0] for entry in process_arguments()} | {"query_topic"}


def test_the_arguments_of_the_nodes_parameters():
    """Which there are, of which kind, and what they accept: part of what the package promises."""
    assert {name: (one.kind, one.choices) for name, one in PARAMETERS.items()} == {
        "cameras": (list, ()),
        "query": (list, ()),
        "model": (str, ()),
        "engine": (str, ("auto", "torch", "onnx", "tensorrt", "remote")),
        "engine_path": (str, ()),
        "server": (str, ()),
        "server_model": (str, ()),
        "fallback_model": (str, ()),
        "device": (str, ()),
        "dtype": (str, ("float32", "bfloat16", "float16")),
        "threads": (int, ()),
        "target_frame": (str, ()),
        "optical_frame": (str, ()),
        "camera_matrix": (list, ()),
        "tracking": (bool, ("true", "false")),
        "image_transport": (str, ("raw", "compressed")),
        "depth_transport": (str, ("raw", "compressedDepth", "compressed")),
        "depth_source": (str, ("image", "points")),
        "max_crops": (int, ()),
        "latency_target": (float, ()),
        "autostart": (bool, ("true", "false")),
        "use_sim_time": (bool, ("true", "false")),
    }


@pytest.mark.parametrize("name", sorted(set(PARAMETERS) - {"use_sim_time"}))
def test_parameters_are_those_of_the_node(name):
    parameter, spec = PARAMETERS[name], SPECS[NAMES.get(name, name)]
    assert parameter.kind is (list if isinstance(spec.default, tuple) else type(spec.default))
    if parameter.kind is not bool:
        assert parameter.choices == spec.choices
    assert parameter.description.startswith(spec.description.replace("`", ""))


def test_arguments_become_values_that_the_node_accepts():
    given = PLAIN["given_parameters"](
        values(
            cameras="wrist, head",
            query="red cube; 7 ;@wrist blue mug;",
            model="7",
            engine="onnx",
            max_crops="4",
            latency_target="2",
            optical_frame="wrist=wrist_optical head=head_optical",
            camera_matrix="565.6, 565.6,319.5,239.5",
            tracking="true",
            autostart="false",
        )
    )
    assert given == {
        "cameras": ["wrist", "head"],
        "queries": ["red cube", "7", "@wrist blue mug"],
        "model": "7",
        "engine": "onnx",
        "max_crops": 4,
        "latency_target": 2.0,
        "optical_frame": "wrist=wrist_optical head=head_optical",
        "camera_matrix": [565.6, 565.6, 319.5, 239.5],
        "tracking": True,
        "autostart": False,
    }
    assert type(given["latency_target"]) is float
    for name, value in given.items():
        assert SPECS[name].error(value) == "", name


def test_numbers_may_stand_in_brackets():
    """As `check_camera` and ROS' own command line write them."""
    given = PLAIN["given_parameters"](values(camera_matrix="[565.6, 565.6, 319.5, 239.5]"))
    assert given == {"camera_matrix": [565.6, 565.6, 319.5, 239.5]}


def test_empty_arguments_leave_the_parameter_file_alone():
    assert PLAIN["given_parameters"](values()) == {}


@pytest.mark.parametrize(
    "given, said",
    [
        ({"max_crops": "four"}, "max_crops:=four is refused: it must be a whole number"),
        ({"max_crops": "1.5"}, "max_crops:=1.5 is refused"),
        ({"latency_target": "fast"}, "latency_target:=fast is refused: it must be a number"),
        ({"camera_matrix": "1,f"}, "camera_matrix:=1,f is refused: it must be numbers, separated by commas"),
    ],
)
def test_arguments_of_the_wrong_kind(given, said):
    with pytest.raises(ValueError, match=said):
        PLAIN["given_parameters"](values(**given))


def remapped(cameras=(), **given):
    return dict(remappings(values(**given), list(cameras)))


def test_topics_of_one_camera():
    given = {"depth_camera_info": "/d/info", "points": "/p"}
    pairs = remapped(image="/camera/color/image_raw", depth="/d", camera_info="/i", **given)
    assert pairs == {
        "image": "/camera/color/image_raw",
        "image/compressed": "/camera/color/image_raw/compressed",
        "depth": "/d",
        "depth/compressedDepth": "/d/compressedDepth",
        "depth/compressed": "/d/compressed",
        "depth/camera_info": "/d/info",
        "points": "/p",
        "camera_info": "/i",
    }
    assert remapped(["wrist"], image="/{camera}/rgb")["image"] == "/wrist/rgb"


def test_topics_of_several_cameras():
    pairs = remapped(["wrist", "head"], image="/{camera}/rgb")
    assert pairs == {
        "wrist/image": "/wrist/rgb",
        "wrist/image/compressed": "/wrist/rgb/compressed",
        "head/image": "/head/rgb",
        "head/image/compressed": "/head/rgb/compressed",
    }


@pytest.mark.parametrize(
    "cameras, given, said",
    [
        (["wrist", "head"], {"image": "/rgb"}, "image:=/rgb is refused: of several cameras"),
        (["wrist", "head"], {"points": "/p"}, "points:=/p is refused: of several cameras"),
        ([], {"depth": "/{camera}/d"}, "depth:=/{camera}/d is refused: the argument cameras"),
    ],
)
def test_topics_that_leave_open_whose_they_are(cameras, given, said):
    with pytest.raises(ValueError) as refused:
        remapped(cameras, **given)
    assert said in str(refused.value)


def test_remapped_topics_are_those_that_the_node_listens_to():
    texts = {
        node.value
        for file in NODE_FOLDER.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for topic in remapped():
        last = topic.split("/")[-1]
        assert {topic, last, f"/{last}"} & texts, topic


def test_topics_in_rviz_are_those_of_its_configuration():
    pairs = dict(PLAIN["rviz_remappings"]("pointer", ["wrist", "head"], [("wrist/image", "/wrist/rgb")]))
    configuration = (ROOT / "config" / "molmo.rviz").read_text()
    for topic in set(pairs) - {"/camera_info"}:  # which RViz takes from beside the depth
        assert f": {topic}\n" in configuration
    assert pairs["/image"] == "/wrist/rgb"
    assert pairs["/depth"] == "wrist/depth"
    assert pairs["/molmo_node/markers"] == "pointer/markers"


def test_executable_is_installed():
    (node,) = (
        call
        for call in ast.walk(TREE)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "LifecycleNode"
    )
    executable = next(keyword.value.value for keyword in node.keywords if keyword.arg == "executable")
    assert f'"{executable} = molmo_ros.node.' in (ROOT / "setup.py").read_text()


GIVEN = {
    "cameras": "wrist,head",
    "query": "red cube; 7",
    "model": "7",
    "max_crops": "4",
    "latency_target": "2",
    "tracking": "true",
    "use_sim_time": "true",
}


@pytest.mark.parametrize(
    "given, expected",
    [
        ({}, {}),
        (
            GIVEN,
            {
                "cameras": ("wrist", "head"),
                "queries": ("red cube", "7"),
                "model": "7",
                "max_crops": 4,
                "latency_target": 2.0,
                "tracking": True,
                "use_sim_time": True,
            },
        ),
    ],
)
def test_launch_makes_the_node(given, expected):
    """Run by launch itself, where it is installed: the arguments evaluate to the node's parameters."""
    pytest.importorskip("launch_ros")
    from launch.actions import OpaqueFunction
    from launch_ros.actions import LifecycleNode, Node
    from launch_ros.utilities import evaluate_parameters

    from launch import LaunchContext

    spec = importlib.util.spec_from_file_location("molmo_launch", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = LaunchContext()
    context.launch_configurations.update({"params_file": str(ROOT / "config" / "molmo.yaml"), **given})
    *declared, last = module.generate_launch_description().entities
    for entity in declared:
        entity.execute(context)
        assert entity.name in context.launch_configurations
    assert type(last) is OpaqueFunction
    molmo, rviz = last.execute(context)
    assert (type(molmo), type(rviz)) == (LifecycleNode, Node)
    assert not rviz.condition.evaluate(context)
    evaluated = evaluate_parameters(context, molmo._Node__parameters)
    assert [part for part in evaluated if isinstance(part, dict)] == [expected]


def test_launch_declares_each_argument_with_its_default():
    pytest.importorskip("launch_ros")
    from launch.utilities import perform_substitutions

    from launch import LaunchContext

    spec = importlib.util.spec_from_file_location("molmo_launch", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    *declared, _ = module.generate_launch_description().entities
    context = LaunchContext()
    defaults = {
        one.name: perform_substitutions(context, one.default_value)
        for one in declared
        if one.name != "params_file"  # in the installed package
    }
    assert defaults == dict.fromkeys(PARAMETERS, "") | {
        "image": "image",
        "depth": "depth",
        "depth_camera_info": "depth/camera_info",
        "points": "points",
        "camera_info": "camera_info",
        "query_topic": "query",
        "namespace": "",
        "node_name": "molmo_node",
        "log_level": "info",
        "respawn": "false",
        "rviz": "false",
    }
    choices = {one.name: one.choices and list(one.choices) for one in declared if one.name in PARAMETERS}
    assert choices == {name: ["", *one.choices] if one.choices else None for name, one in PARAMETERS.items()}


def test_launch_refuses_what_is_no_choice():
    pytest.importorskip("launch_ros")
    from launch import LaunchContext

    spec = importlib.util.spec_from_file_location("molmo_launch", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = LaunchContext()
    context.launch_configurations["engine"] = "vllm"
    (engine,) = (
        entity
        for entity in module.generate_launch_description().entities
        if getattr(entity, "name", "") == "engine"
    )
    with pytest.raises(RuntimeError, match="tensorrt"):
        engine.execute(context)
