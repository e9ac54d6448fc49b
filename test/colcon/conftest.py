# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Workspaces of colcon, with this repository in src/ as `git clone` puts it there."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONSUMERS = Path(__file__).parent / "consumers"
NOT_CLONED = shutil.ignore_patterns(
    *(
        ".git",
        ".venv*",
        ".*cache",
        "__pycache__",
        "*.egg-info",
        "build",
        "install",
        "log",
        "*_output",
        "vectors",
    )
)
# The last is how the wheels mark a process whose library path they have set.
NOT_INHERITED = (
    r"(AMENT|CMAKE|COLCON|PYTHON|PYTEST|COV_CORE)_?\w*|CC|CXX|LD_LIBRARY_PATH|_ROS_WHEELS_BOOTSTRAP_COMPLETE"
)


class ColconWorkspace:
    """A workspace and the environment that its commands run in: the ROS of this Python and nothing else sourced."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.source = folder / "src"
        self.source.mkdir(parents=True)
        ros = sys.prefix
        self.environment = {
            name: value for name, value in os.environ.items() if not re.fullmatch(NOT_INHERITED, name)
        }
        self.environment |= {
            "PATH": f"{ros}/bin:{os.environ['PATH']}",
            "AMENT_PREFIX_PATH": ros,
            "CMAKE_PREFIX_PATH": ros,
            "COLCON_HOME": str(folder / "colcon_home"),
            # What is compiled runs for a second.
            "CFLAGS": "-O0",
            "CXXFLAGS": "-O0",
        }

    def clone(self, name: str = "molmo_ros") -> Path:
        clone = self.source / name
        shutil.copytree(ROOT, clone, symlinks=True, ignore=NOT_CLONED)
        return clone

    def add_consumers(self) -> None:
        for name in ("ask_once", "count_points"):
            shutil.copytree(CONSUMERS / name, self.source / name)

    def run(self, *command: str, cwd: str = ".", **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            command,
            cwd=self.folder / cwd,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=1800,
        )

    def colcon(self, *arguments: str, cwd: str = ".", **environment: str) -> subprocess.CompletedProcess:
        return self.run(f"{sys.prefix}/bin/colcon", *arguments, cwd=cwd, **environment)

    def sourced(self, install: str, line: str, setup: str = "setup.bash") -> subprocess.CompletedProcess:
        """A line of bash after sourcing the workspace, in a folder where nothing of it lies."""
        return self.run(*self.after_sourcing(install, line, setup))

    def after_sourcing(self, install: str, line: str, setup: str = "setup.bash") -> tuple[str, ...]:
        return "bash", "-c", f"source {shlex.quote(str(self.folder / install / setup))} >&2 && cd / && {line}"


@pytest.fixture(scope="session", autouse=True)
def usable_cmake_files():
    """The wheels' exported CMake files name folders of the machine that they were built on, until this has run."""
    subprocess.run([sys.executable, ROOT / "requirements/fix_cmake_paths.py"], check=True)


@pytest.fixture(scope="session")
def readable_ros():
    """The generators of messages cannot be run from such a path, neither here nor on a robot (docs/workspaces.md)."""
    if " " in sys.prefix or not sys.prefix.isascii():
        pytest.skip(
            f"the ROS of this environment lies in a path with spaces or non-ASCII letters: {sys.prefix}"
        )


@pytest.fixture
def workspace(tmp_path):
    return ColconWorkspace(tmp_path / "ws")


@pytest.fixture(scope="module")
def shared_workspace(tmp_path_factory):
    return ColconWorkspace(tmp_path_factory.mktemp("shared") / "ws")


@pytest.fixture(scope="session")
def old_setuptools():
    """A folder with the newest setuptools before 80, which took out what colcon's --symlink-install calls."""
    folder = Path(sys.prefix, "setuptools79")
    assert folder.is_dir(), f"{folder} is missing: `make test` makes it"
    return folder
