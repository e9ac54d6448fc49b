# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the README shows a planner's author works as it stands there."""

import re
import textwrap
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()


def planner():
    """The README's second block of Python as a coroutine function of a node."""
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1]
    names = {}
    exec("async def ask(node):\n" + textwrap.indent(code, "    "), names)
    return names["ask"]


def test_the_service_call_of_the_readme(robot, make, capsys):
    robot.start(depth=True)
    robot.send_frame(make.picture(), make.depth([[1.0] * 64] * 48), make.info())
    task = robot.executor.create_task(planner()(robot.node))
    robot.spin_until(task.done)
    assert task.exception() is None
    assert capsys.readouterr().out.startswith("NOT_FOUND")
    robot.stop()
