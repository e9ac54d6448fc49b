# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The launch file for Gazebo: its tables always, all of it where launch and ros_gz's launch file are installed."""

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest

from molmo_ros.gazebo.launch_plan import plan_launch
from molmo_ros.gazebo.release import HARMONIC, RELEASES
from molmo_ros.node.parameters.declaration import SPECS

sys.path.insert(0, str(Path(__file__).parent))
from launch_source import keys_used  # noqa: E402

ROOT = Path(__file__).parents[2]
FILE = ROOT / "launch" / "gazebo.launch.py"
PAGE = (ROOT / "docs" / "gazebo.md").read_text()
TREE = ast.parse(FILE.read_text())
MOLMO = (ROOT / "launch" / "molmo.launch.py").read_text()


def table(name):
    (value,) = (
        node.value
        for node in TREE.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name
    )
    return value


ROWS = {row.elts[0].value: row.elts for row in table("ARGUMENTS").elts}
HANDED_ON = ast.literal_eval(table("HANDED_ON"))


def test_the_arguments():
    """Which there are: part of what the package promises."""
    assert {name: row[1].value for name, row in ROWS.items()} == {
        "world": "tabletop",
        "query": "",
        "model": "",
        "engine": "",
        "cameras": "",
        "target_frame": "",
        "headless": "false",
        "rviz": "false",
        "gazebo": "auto",
        "transforms": "true",
        "shared_memory": "true",
    }
    for name, row in ROWS.items():
        assert row[2].value.endswith("."), name
    assert [choice.value for choice in ROWS["engine"][3].elts] == ["", *SPECS["engine"].choices]


def test_every_argument_is_used():
    used = keys_used(TREE, "given")
    assert used | set(HANDED_ON) == set(ROWS)


def test_what_is_handed_on_are_arguments_of_the_nodes_launch_file():
    plans = [plan_launch(ROOT / f"gazebo/harmonic/{world}.sdf", HARMONIC) for world in ("tabletop", "shelf")]
    for name in {*HANDED_ON, *plans[0].molmo, *plans[1].molmo}:
        assert re.search(rf'^ +(Argument\(|Parameter\()?"{name}",', MOLMO, re.MULTILINE), name


def test_the_pages_commands_give_arguments_that_exist():
    commands = re.findall(r"^ros2 launch molmo_ros gazebo\.launch\.py(.*)$", PAGE, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        assert set(re.findall(r"(\w+):=", command)) <= set(ROWS)
    assert set(ROWS) <= set(re.findall(r"`(\w+)`", PAGE.split("| argument | what |")[1].split("\n\n")[0]))


def test_the_pages_numbers_are_those_of_the_world():
    plan = plan_launch(ROOT / "gazebo/harmonic/tabletop.sdf", HARMONIC)
    lens = [f"{float(value):.7g}" for value in plan.molmo["camera_matrix"].split(",")]
    assert f"of the camera above\n[{','.join(lens)}]" in PAGE


def test_the_pages_sensor_is_the_tabletops():
    """The lines that a user copies are lines of a world that is tested."""
    world = re.sub(r"\s+", "", (ROOT / "gazebo/harmonic/tabletop.sdf").read_text())
    blocks = re.findall(r"^```xml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        for part in re.sub(r"<!--.*?-->", "", block).split("\n\n"):
            assert re.sub(r"\s+", "", part) in world


def test_its_files_are_installed():
    setup = (ROOT / "setup.py").read_text()
    for release in RELEASES:
        assert f'share("gazebo/{release}", "*.*")' in setup
        assert {path.suffix for path in (ROOT / "gazebo" / release).iterdir()} == {".sdf", ".yaml"}


@pytest.mark.parametrize(
    "given, started",
    [
        ({}, ["parameter_bridge", "static_transform_publisher"]),
        ({"transforms": "false"}, ["parameter_bridge"]),
        ({"world": "shelf"}, ["parameter_bridge", *["static_transform_publisher"] * 2]),
    ],
)
def test_launch_makes_what_the_plan_says(given, started, monkeypatch):
    """Run by launch itself, where it is installed."""
    pytest.importorskip("launch_ros")
    from launch.actions import LogInfo
    from launch_ros.actions import Node

    from launch import LaunchContext

    spec = importlib.util.spec_from_file_location("gazebo_launch", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names = []

    def included(path, arguments):
        names.append(path.name.removesuffix(".launch.py"))
        return LogInfo(msg=names[-1])

    monkeypatch.setattr(module, "get_package_share_directory", lambda name: str(ROOT))
    monkeypatch.setattr(module, "included", included)
    context = LaunchContext()
    context.launch_configurations.update(given)
    *declared, last = module.generate_launch_description().entities
    for entity in declared:
        entity.execute(context)
    (group,) = last.execute(context)
    nodes = [action for action in group._GroupAction__actions if isinstance(action, Node)]
    assert names == ["gz_sim", "molmo"]
    assert [node._Node__node_executable for node in nodes] == started
