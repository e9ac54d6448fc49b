# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""docs/installing.md says what the script says and takes, and names no file that is not there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/installing.md").read_text()
SCRIPT = (ROOT / "requirements/apt_ros.sh").read_text()
CHECK = (ROOT / "requirements/check_environment.py").read_text()


def rows(heading):
    """The cells of the table of a section, without its head."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_each_refusal_of_the_page_is_one_of_the_scripts():
    said = re.sub(r"\$\{?\w+[^}\" ]*\}?|\{[^}]*\}", "...", SCRIPT + CHECK)
    refusals = [cells[0] for cells in rows("When it says no")]
    assert len(refusals) >= 8
    for refusal in refusals:
        for part in re.split(r" ?(?:'?\.\.\.'?|3\.N,?) ?", refusal):
            assert part in said, (refusal, part)


def test_commands_variables_and_options_are_the_scripts():
    for variable in re.findall(r"\b(TORCH_INDEX|TORCH|WHEELS|VENV|PLATFORM|ROS_DISTRO)\b", PAGE):
        assert re.search(rf"^# {variable} ", SCRIPT, re.MULTILINE), variable
    for option in re.findall(r"(?<![\w-])--with `?(\w+)`?", PAGE):
        assert option in ("sim", "engine", "rtx", "tensorrt"), option
    # The first block's commands are those that the script ends with.
    block = PAGE.split("```\n", 2)[1]
    for command in ("source .venv-ros/bin/activate", "colcon build", "source install/setup.bash"):
        assert command in block
    steps = SCRIPT.split("next_steps() {", 1)[1].split("\n}\n", 1)[0]
    for command in (
        "source /opt/ros/",
        "/bin/activate",
        "colcon build",
        "source install/setup.bash",
        "demo.launch.py",
    ):
        assert command in block and command in steps


def test_the_numpy_of_each_system_is_the_lists():
    lists = (ROOT / "requirements/apt_lists.sh").read_text()
    for python, numpy in (("3.10", "1.21.5"), ("3.12", "1.26.4")):
        assert re.search(rf"\| {python} \| {numpy}, ", PAGE) and f'"numpy>={numpy},<2"' in lists


def test_build_arguments_are_the_dockerfiles():
    arguments = set(re.findall(r"^ARG (\w+)", (ROOT / "docker/Dockerfile").read_text(), re.MULTILINE))
    table = PAGE.split("| image | build arguments |", 1)[1].split("\n\n", 1)[0]
    named = set(re.findall(r"`([A-Z_]+)(?:=[^`]*)?`", table))
    assert named and named <= arguments
    assert all((ROOT / file).is_file() for file in re.findall(r"docker/[\w.]+\.(?:yaml|py)", PAGE))
