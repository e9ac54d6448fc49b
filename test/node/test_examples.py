# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The examples for planners, as a person starts them, with a node that sees a box on a table."""

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import py_trees
import pytest
from geometry_msgs.msg import PoseStamped
from molmo_msgs.srv import Point
from std_msgs.msg import Float64

DEPTH = True
EXAMPLES = Path(__file__).parents[2] / "examples"
WIDTH, HEIGHT, FOCAL = 640, 480, 600.0
TABLE, SIDE = 0.6, 0.05
BOX = "the box at 0.5,0.5"
FRAME = "camera_optical"


def box_on_a_table():
    """Depth [h, w] [m] straight down at a cube of `SIDE` on a table at `TABLE`."""
    column, row = np.meshgrid(np.arange(WIDTH) - WIDTH / 2 + 0.5, np.arange(HEIGHT) - HEIGHT / 2 + 0.5)
    top = TABLE - SIDE
    on_top = (abs(column) * top / FOCAL <= SIDE / 2) & (abs(row) * top / FOCAL <= SIDE / 2)
    return np.where(on_top, top, TABLE)


@pytest.fixture(scope="module")
def seeing(robot, make):
    robot.start("-p", "max_frame_age:=0.0", depth=True)
    robot.send_frame(
        make.picture(WIDTH, HEIGHT), make.depth(box_on_a_table()), make.info(WIDTH, HEIGHT, FOCAL)
    )
    yield robot
    if robot.process:
        robot.stop()


def run(robot, name, *arguments):
    """An example's output and exit code, as a process of its own."""
    environment = os.environ | {"ROS_DOMAIN_ID": str(robot.domain)}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def module(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_the_planner_is_as_short_as_promised():
    lines = (EXAMPLES / "planner.py").read_text().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) <= 40  # whose it is does not count


def test_the_planner_says_where_to_take_hold(seeing):
    code, said = run(seeing, "planner.py", BOX, FRAME)
    assert code == 0, said
    assert f"in {FRAME} at (" in said
    x, y, z = (float(value) for value in said.split(" at (")[-1].split(")")[0].split(","))
    assert abs(x) < 0.005
    assert abs(y) < 0.005
    assert TABLE - SIDE < z < TABLE


def test_the_planner_moves_nothing_for_what_is_not_there(seeing):
    code, said = run(seeing, "planner.py", "a unicorn", FRAME)
    assert code == 1
    assert "a unicorn is left alone: NOT_FOUND: There are none." in said


def test_the_planner_without_a_frame_that_is_known(seeing):
    code, said = run(seeing, "planner.py", BOX, "the_moon")
    assert code == 1
    assert "NO_TRANSFORM" in said
    assert "the_moon" in said


def test_the_objects_of_the_readme(seeing, capsys):
    code = re.findall(r"```python\n(.*?)```", (EXAMPLES.parent / "README.md").read_text(), re.DOTALL)[2]
    code = code.replace("mug", BOX).replace("base_link", FRAME)
    names = {"Point": Point, "client": seeing.client(Point, "point_at")}
    exec("async def ask():\n" + textwrap.indent(code, "    "), names)
    task = seeing.executor.create_task(names["ask"]())
    seeing.spin_until(task.done)
    assert task.exception() is None
    said = capsys.readouterr().out
    assert said.startswith("object geometry_msgs.msg.Pose(")
    assert said.count("geometry_msgs.msg.Pose(") >= 2


def test_the_tree_reaches_for_what_is_there(seeing):
    heard = {"pose": [], "opening": []}
    seeing.node.create_subscription(PoseStamped, "gripper_target", heard["pose"].append, 1)
    seeing.node.create_subscription(Float64, "gripper_opening", heard["opening"].append, 1)
    pick_tree = module("pick_tree")
    tree = pick_tree.pick_tree(seeing.node, BOX, FRAME)

    def ended():
        tree.tick_once()
        return tree.status not in (py_trees.common.Status.INVALID, py_trees.common.Status.RUNNING)

    seeing.spin_until(ended)
    assert tree.status is py_trees.common.Status.SUCCESS, tree.tip().feedback_message
    seeing.spin_until(lambda: heard["pose"] and heard["opening"])
    assert heard["pose"][0].header.frame_id == FRAME
    assert SIDE < heard["opening"][0].data <= 0.085


def test_the_tree_fails_for_what_is_not_there(seeing):
    code, said = run(seeing, "pick_tree.py", "a unicorn", FRAME)
    assert code == 1
    assert "NOT_FOUND: There are none." in said
    assert "Attempt failed [status: 2 of 3]" in said or "reach [-]" in said
