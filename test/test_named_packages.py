# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""No command that people are shown installs a name that nobody owns, or that could become somebody else's.

Whoever registers a name that a page tells people to install runs code on their machines. So each name in a command
of a page, of a message or of a script stands in a list here, with where it was seen to be what is meant.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PIP = {
    # What the set-up installs, each pinned, with the hashes of its files.
    *(
        re.sub(r"[-_.]+", "-", name).lower()
        for path in (ROOT / "requirements").glob("*.txt")
        for name in re.findall(r"^([A-Za-z][\w.-]*)", path.read_text(), re.M)
    ),
    # NVIDIA's own, https://pypi.org/user/nvidia.
    *("tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx-cu13"),
}
APT = {
    # packages.debian.org (bookworm) and packages.ubuntu.com (jammy, noble).
    *("g++", "git", "make", "python3-dev", "python3-venv", "python3-pip"),
    *("ca-certificates", "python3", "build-essential", "cmake", "curl"),
    # Gazebo's of Debian 12.
    *(
        "ignition-tools",
        "libignition-msgs-dev",
        "libignition-transport-dev",
        "libsdformat-dev",
        "sdformat-sdf",
    ),
    *("protobuf-compiler", "pkg-config"),
    # JetPack's, repo.download.nvidia.com/jetson.
    *("python3-libnvinfer", "nvidia-jetpack"),
}
ROS = {
    # github.com/ros/rosdistro, jazzy/distribution.yaml: without ros-DISTRO-, with hyphens.
    *(
        "cv-bridge",
        "desktop",
        "launch-ros",
        "moveit-msgs",
        "rclpy",
        "ros-base",
        "ros-gz",
        "rviz2",
        "tf2-ros",
        "vision-msgs",
    ),
}
OURS = re.compile(r"\.(/[\w./-]*)?(\[[\w,-]+\])?")  # a folder of the checkout: no index is asked
COMMAND = re.compile(r"\b(pip3?|apt|apt-get) +(?:-\S+ +)*install +")
WITH_VALUE = (
    "-r",
    "--requirement",
    "--only-binary",
    "-c",
    "--constraint",
    "-i",
    "--index-url",
    "--extra-index-url",
    "-t",
    "--target",
)
PAGES = sorted(
    path
    for pattern in ("*.md", "*.rst", "docs/*.md", "docs/*.rst", "[a-z]*/README.md", "interfaces/*/*.rst")
    for path in ROOT.glob(pattern)
)
SCRIPTS = sorted(
    path
    for pattern in (".ci/*", "requirements/*.sh", "docker/**/*", "Makefile", "config/*.yaml", "*.yaml")
    for path in ROOT.glob(pattern)
    if path.is_file()
)
CODE = sorted(
    path for part in ("molmo_ros", "benchmarks", "launch", "examples") for path in (ROOT / part).rglob("*.py")
)


def spans(page: str) -> Iterator[str]:
    """The lines of a page's blocks of code, continued ones as one, and what stands in backticks."""
    for block in re.findall(r"^```.*?\n(.*?)^```", page, re.S | re.M):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"(?<!`)`([^`]+)`(?!`)", re.sub(r"^```.*?^```", "", page, flags=re.S | re.M))


def commands(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix in (".md", ".rst"):
        yield from spans(text)
    elif path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from (f"'{part}" for part in re.split(r"[;:()]|, ", node.value))  # quoted: sentences
    else:
        yield from (
            line.strip() for line in text.replace("\\\n", " ").splitlines() if line.lstrip()[:1] != "#"
        )


def installed(command: str, whole: bool = True) -> Iterator[tuple[str, str]]:
    """What a line of shell installs: the tool, and each name that it is given.

    Args:
        command: One line.
        whole: It is a command and nothing else. Otherwise it may be a sentence, of which only the first word after the
            command is surely a name; a line of a script is one where the command stands in quotation marks.
    """
    for found in COMMAND.finditer(command):
        rest = re.split(r"&&|\|\||[|;<>]|\$\(| #", command[found.end() :])[0]
        try:
            words = iter(shlex.split(rest))
        except ValueError:  # a quotation that began before the command
            words = iter(rest.replace("'", " ").replace('"', " ").split())
        sentence = not whole and not {"'", '"'}.isdisjoint(command[: found.start()])
        for word in words:
            if word in WITH_VALUE:
                next(words, None)
            elif not word.startswith("-"):
                yield found[1], word.rstrip(".,") if sentence else word
                if sentence:
                    break


def stranger(tool: str, word: str) -> bool:
    """Whether it is a name that stands in no list; variables of a script are read where they are set."""
    if "$" in word and not word.startswith("ros-"):
        return False
    if tool.startswith("pip"):
        name = re.split(r"[\[<>=!~ ;]", word)[0]
        return not OURS.fullmatch(word) and re.sub(r"[-_.]+", "-", name).lower() not in PIP
    ros = re.fullmatch(
        r"ros-(?:\$\{?(?:ROS_DISTRO|distro)\}?|jazzy|kilted|humble|lyrical|DISTRO)-([a-z0-9-]+)", word
    )
    return ros[1] not in ROS if ros else word not in APT


def named(paths: list[Path]) -> list[tuple[str, str, str]]:
    """Where something is installed, by which tool, and its name."""
    return [
        (path.relative_to(ROOT).as_posix(), tool, word)
        for path in paths
        for command in commands(path)
        for tool, word in installed(command, whole=path.suffix in (".md", ".rst"))
    ]


@pytest.mark.parametrize(
    "paths, least", [(PAGES, 5), (SCRIPTS, 2), (CODE, 4)], ids=["pages", "scripts", "messages"]
)
def test_every_name_to_install_is_known(paths, least):
    found = named(paths)
    assert len(found) >= least
    assert [one for one in found if stranger(*one[1:])] == []


@pytest.mark.parametrize(
    "command, names",
    [
        ("pip install 'molmo_ros[engine]'", [("pip", "molmo_ros[engine]")]),
        ("python3 -m pip install -r requirements/core.txt nobody", [("pip", "nobody")]),
        ("sudo apt-get -y install --no-install-recommends nobody && make", [("apt-get", "nobody")]),
        ("sudo apt install ros-$ROS_DISTRO-nobody   # not there", [("apt", "ros-$ROS_DISTRO-nobody")]),
    ],
)
def test_a_stranger_is_seen(command, names):
    assert list(installed(command)) == names
    assert all(stranger(*one) for one in names)


def test_our_own_names_are_in_no_list():
    assert not {"molmo-ros", "molmo-msgs"} & (PIP | APT | ROS)
