# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The launch file of the first look: its table and choices always, all of it where launch is installed."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from molmo_ros.sim.camera_path import MOTIONS
from molmo_ros.sim.scene import Scene

sys.path.insert(0, str(Path(__file__).parent))
from launch_source import keys_used  # noqa: E402

ROOT = Path(__file__).parents[2]
FILE = ROOT / "launch" / "demo.launch.py"
TREE = ast.parse(FILE.read_text())
MOLMO = (ROOT / "launch" / "molmo.launch.py").read_text()
PAGE = (ROOT / "docs" / "simulated-camera.md").read_text()


def plain_parts():
    """The functions and tables that need no launch."""
    wanted = {"VIEWS", "ARGUMENTS", "CAMERA", "HANDED_ON", "camera_parameters", "chosen_view"}
    names = {"MOTIONS": MOTIONS}
    kept = [
        node
        for node in TREE.body
        if getattr(node, "name", "") in wanted
        or (isinstance(node, ast.Assign) and node.targets[0].id in wanted)
    ]
    exec(compile(ast.Module(kept, []), str(FILE), "exec"), names)
    return names


PLAIN = plain_parts()
ARGUMENTS = {
    name: (default, description, choices) for name, default, description, choices in PLAIN["ARGUMENTS"]
}


def test_the_arguments():
    """Which there are: part of what the package promises."""
    assert {name: default for name, (default, _, _) in ARGUMENTS.items()} == {
        "seed": "6",
        "motion": "",
        "rate": "10.0",
        "query": "red cube; purple ball; blue mug",
        "target_frame": "world",
        "view": "auto",
    }
    assert all(description.endswith(".") for _, description, _ in ARGUMENTS.values())
    used = keys_used(TREE, "given") | set(PLAIN["HANDED_ON"]) | set(PLAIN["CAMERA"])
    assert used == set(ARGUMENTS)
    for name in (*PLAIN["HANDED_ON"], "rviz"):
        assert re.search(rf'^ +(Argument\(|Parameter\()?"{name}",', MOLMO, re.MULTILINE), name


def test_the_default_query_has_things_that_stand_there_once_and_one_that_does_not():
    names = [thing.name for thing in Scene.random(int(ARGUMENTS["seed"][0])).objects]
    assert [names.count(label.strip()) for label in ARGUMENTS["query"][0].split(";")] == [1, 1, 0]


@pytest.mark.parametrize(
    "wanted, there, environment, view",
    [
        ("auto", ["rviz2", "foxglove_bridge"], {"DISPLAY": ":0"}, "rviz"),
        ("auto", ["rviz2"], {"WAYLAND_DISPLAY": "wayland-0"}, "rviz"),
        ("auto", ["rviz2", "foxglove_bridge"], {}, "foxglove"),
        ("auto", ["rviz2"], {}, "none"),
        ("auto", ["foxglove_bridge"], {"DISPLAY": ":0"}, "foxglove"),
        ("auto", [], {"DISPLAY": ":0"}, "none"),
        ("rviz", [], {}, "rviz"),
        ("none", ["rviz2"], {"DISPLAY": ":0"}, "none"),
    ],
)
def test_the_window(wanted, there, environment, view):
    assert PLAIN["chosen_view"](wanted, there.__contains__, environment) == view


def test_the_cameras_parameters_have_their_types():
    given = {"seed": "7", "motion": "orbit", "rate": "5"}
    assert PLAIN["camera_parameters"](given) == {"seed": 7, "motion": "orbit", "rate": 5.0}
    with pytest.raises(ValueError, match="seed:=seven rate:=5 is refused: seed is a whole number"):
        PLAIN["camera_parameters"](given | {"seed": "seven"})


def test_the_pages_commands_give_arguments_that_exist():
    commands = re.findall(r"^ros2 launch molmo_ros demo\.launch\.py(.*)$", PAGE, re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        assert set(re.findall(r"(\w+):=", command)) <= set(ARGUMENTS)
    assert set(ARGUMENTS) == set(
        re.findall(r"^\| `(\w+)` \|", PAGE.split("| argument |")[1].split("\n\n")[0], re.M)
    )


def test_a_camera_without_mujoco_says_what_is_missing(tmp_path):
    """As on a robot, which needs no simulator: a real process whose Python has none."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['mujoco'] = None\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "molmo_ros.sim.camera_node"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 2
    assert "MuJoCo, which renders the table, is not installed" in ended.stderr
    assert "requirements/sim.txt" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize("view, nodes", [("none", 1), ("foxglove", 2)])
def test_launch_makes_camera_node_and_window(view, nodes, monkeypatch):
    """Run by launch itself, where it is installed."""
    pytest.importorskip("launch_ros")
    from launch.actions import IncludeLaunchDescription
    from launch_ros.actions import Node

    from launch import LaunchContext

    spec = importlib.util.spec_from_file_location("demo_launch", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "get_package_share_directory", lambda name: str(ROOT))
    context = LaunchContext()
    context.launch_configurations["view"] = view
    *declared, last = module.generate_launch_description().entities
    for entity in declared:
        entity.execute(context)
    (group,) = last.execute(context)
    actions = group._GroupAction__actions
    assert sum(isinstance(action, Node) for action in actions) == nodes
    (included,) = (action for action in actions if isinstance(action, IncludeLaunchDescription))
    assert dict(included.launch_arguments) == {
        "query": "red cube; purple ball; blue mug",
        "target_frame": "world",
        "rviz": "false",
    }
