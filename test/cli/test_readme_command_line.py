# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The README's `molmo-ros` commands, run as they stand there."""

import json
import shutil
import sys
from pathlib import Path

import cv2
import pytest

from molmo_ros.cli.main import main
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "bag"))
from readme_commands import beginning_with  # noqa: E402

ROOT = Path(__file__).parents[2]
SEED = 167
"""A table with one red cube and one mug."""
COMMANDS = beginning_with("molmo-ros")


def fetched(command):
    """The model that must have been fetched before the command can do anything; empty where none must."""
    words = command[1:]
    if words[0] in ("build", "fetch"):
        return next(word for word in words[1:] if not word.startswith("-"))
    return words[words.index("--model") + 1] if "--model" in words else ""


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with the pictures and bags that the commands name, and no fetched model."""
    frame = render(Scene.random(SEED), *SENSOR)
    for name in ("picture", "left", "right"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), frame.rgb[..., ::-1])
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "vectors").symlink_to(ROOT / "test" / "vectors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOLMO_ROS_HOME", str(tmp_path / "home"))
    return tmp_path


def test_every_command_is_tried_here():
    assert len(COMMANDS) >= 12
    assert {command[1] for command in COMMANDS} == {
        "point", "count", "ask", "describe", "models", "parity", "bag", "fetch", "build", "engines", "serve",
    }  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [one for one in COMMANDS if not fetched(one) and one[1] != "bag"],
    ids=" ".join,
)
def test_without_a_fetched_model(command, desk, capsys):
    assert main(command[1:]) == 0
    said = capsys.readouterr().out
    if "--save" in command:
        assert cv2.imread(command[command.index("--save") + 1]).shape[1] == 640
    if "--json" in command:
        assert json.loads(said)["count"] == 1
    assert said.strip()


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if fetched(one) and one[1] != "fetch"], ids=" ".join
)
def test_those_for_a_model_that_was_not_fetched_say_so(command, desk, capsys):
    """No weights of a hub are on this machine: the command is understood, and names the one that comes before it."""
    assert main(command[1:]) == 2
    assert f"molmo-ros fetch {fetched(command)}" in capsys.readouterr().err


@pytest.mark.parametrize("command", beginning_with("molmo-ros", "fetch"), ids=" ".join)
def test_fetch_knows_the_model(command, desk, capsys):
    """What it downloads is tested against a hub of this machine (`test_fetch.py`); here that the name is known."""
    from molmo_ros.molmo.catalog.registry import registry

    assert all(name in registry() for name in command[2:])


@pytest.mark.parametrize("command", beginning_with("molmo-ros", "bag"), ids=" ".join)
def test_bags(command, desk, capsys):
    pytest.importorskip("rclpy", reason="needs ROS 2")
    from recordings import OPTICAL, START, recorded, transform

    recording = recorded(render(Scene.random(SEED), *SENSOR), 2)
    name = command[2]
    if any(word.startswith("@wrist ") for word in command):
        recording.messages = [(f"/wrist{topic}", *rest) for topic, *rest in recording.messages]
    if "--target-frame" in command:
        recording.add("/tf_static", transform("base_link", OPTICAL, START, (0.0, 0.0, 1.0)), START)
    written = recording.write(desk / "written", mcap=name.endswith(".mcap"))
    shutil.move(written, desk / name)
    assert main(command[1:]) == 0, capsys.readouterr().err
