# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What colcon cannot build ends early, in a sentence that says what to do."""

import re
import sys

import pytest

pytestmark = pytest.mark.usefixtures("readable_ros")

STUB = """cmake_minimum_required(VERSION 3.10)
project(molmo_msgs NONE)
find_package(ament_cmake REQUIRED)
ament_package()
"""


def build(workspace, *arguments, **environment) -> str:
    """What a build that fails says, in one line (CMake wraps what it is told to say)."""
    done = workspace.colcon("build", *arguments, **environment)
    assert done.returncode != 0
    return re.sub(r"\s+", " ", done.stderr)


@pytest.mark.parametrize("name", ["with space", "wörk"])
def test_a_path_that_the_message_generators_cannot_read(workspace, name):
    folder = workspace.folder.rename(workspace.folder.with_name(name))
    workspace.folder, workspace.source = folder, folder / "src"
    workspace.clone()
    said = build(workspace)
    assert f'a path with spaces or non-ASCII letters: "{folder}/' in said
    assert "Move or clone the workspace to a path without them" in said
    assert not [*folder.rglob("*.o")], "before anything is compiled"


def test_no_compiler(workspace):
    workspace.clone()
    said = build(workspace, CC="/nowhere/cc", CXX="/nowhere/c++")
    assert "needs a C and a C++ compiler" in said and "sudo apt-get install g++" in said


def test_messages_of_another_version(workspace):
    clone = workspace.clone()
    beside = workspace.source / "molmo_msgs"
    beside.mkdir()
    manifest = (clone / "interfaces/molmo_msgs/package.xml").read_text()
    (beside / "package.xml").write_text(re.sub("<version>.*</version>", "<version>9.8.7</version>", manifest))
    (beside / "CMakeLists.txt").write_text(STUB)
    said = build(workspace)
    installed = workspace.folder / "install/molmo_msgs/share/molmo_msgs/package.xml"
    assert (
        f"needs molmo_msgs {version(clone)}, and the one that comes first here is 9.8.7: {installed}" in said
    )
    assert "check out the same version of both" in said


def version(clone) -> str:
    return re.search("<version>(.*)</version>", (clone / "package.xml").read_text())[1]


def test_the_package_without_its_messages(workspace):
    """colcon names what it knows of and has not built; where it is told to know nothing of it, the package does."""
    workspace.clone()
    assert "packages have been built: - molmo_msgs" in build(workspace, "--packages-select", "molmo_ros")
    said = build(workspace, "--packages-ignore", "molmo_msgs", AMENT_PREFIX_PATH="")
    assert "molmo_msgs, are not built" in said and "colcon build --packages-up-to molmo_ros" in said


def test_a_python_without_torch_is_named(workspace):
    """As apt's Python is, with which the scripts would start."""
    code = (
        f"import sys; sys.modules['torch'] = None; sys.path.insert(0, {str(workspace.clone() / 'colcon')!r}); "
        "import python_packages; python_packages.warn_of_missing_packages()"
    )
    said = workspace.run(sys.executable, "-c", code).stderr
    assert f"{sys.executable}, whose scripts these are, has no torch, and" in said
    assert "docs/workspaces.md" in said
