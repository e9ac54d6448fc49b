# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the README shows works as it stands there."""

import contextlib
import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from molmo_ros.cli.main import build_parser
from molmo_ros.node.parameters.declaration import SPECS
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

sys.path.insert(0, str(Path(__file__).parent))
from readme_commands import beginning_with, blocks, commands  # noqa: E402

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TRIED = {
    ("make",): "test/test_readme.py",
    ("molmo-ros",): "test/cli/test_readme_command_line.py",
    ("ros2", "topic"): "test/node/test_readme_robot_commands.py",
    ("ros2", "service"): "test/node/test_readme_robot_commands.py",
    ("ros2", "action"): "test/node/test_readme_robot_commands.py",
    ("ros2", "param"): "test/node/test_readme_robot_commands.py",
    ("ros2", "launch"): "test/test_readme.py",
    ("cd",): "",
    ("git", "clone"): "test/colcon",
    ("rosdep", "install"): "test/colcon",
    ("colcon", "build"): "test/colcon",
    ("source",): "test/colcon",
    ("src/molmo_ros/requirements/apt_ros.sh",): "test/installing",
    ("TORCH_INDEX=URL", "docker", "compose"): "test/docker",
}
"""Where each kind of command that the page shows is run, by the words that it begins with."""


def test_three_lines_of_python():
    code = blocks("python")[0]
    scene = next(
        scene for scene in map(Scene.random, range(100)) if "red cube" in [t.name for t in scene.objects]
    )
    index = [thing.name for thing in scene.objects].index("red cube")
    frame = render(scene, *SENSOR)
    names = {"image": frame.rgb}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, names)
    assert "FOUND" in printed.getvalue()
    point = names["answer"].points[0]
    assert frame.segmentation[int(point.y), int(point.x)] == index


def test_commands_are_understood():
    commands = re.findall(r"^molmo-ros (.*)$", README, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        build_parser().parse_args(shlex.split(command, comments=True))


def test_every_command_is_tried_somewhere():
    for command in commands():
        places = [place for words, place in TRIED.items() if tuple(command[: len(words)]) == words]
        assert len(places) == 1, command
        assert (ROOT / places[0]).exists(), command
    assert all(beginning_with(*words) for words in TRIED)


def test_launch_commands_give_arguments_that_exist():
    for command in beginning_with("ros2", "launch"):
        package, file = command[2:4]
        source = (ROOT / "launch" / file).read_text()
        assert package == "molmo_ros"
        for word in command[4:]:
            if word != "...":
                assert f'"{word.partition(":=")[0]}"' in source, command


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE)
    assert {"demo", "test", "benchmark"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_to_files():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("name", ["max_frame_age", "device", "dtype"])
def test_named_parameters_exist(name):
    assert name in README and name in SPECS
