# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The commands of docs/releasing.md, in a copy of the repository, with the real tools up to where something leaves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from catkin_pkg.changelog import get_changelog_from_path
from catkin_pkg.package import parse_package, parse_package_string
from catkin_pkg.packages import find_packages

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```\n(.*?)```", (ROOT / "docs" / "releasing.md").read_text(), re.S)
INNER = Path("interfaces", "molmo_msgs")


def block(word: str) -> str:
    (found,) = (text for text in BLOCKS if word in text)
    return found


def run(script: str, folder: Path) -> None:
    """A block of the page as a shell takes it, where nobody's settings of git are read."""
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    people = {
        f"GIT_{who}_{what}": "releaser@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    environment = os.environ | {"PATH": tools} | people | settings
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def repository(tmp_path):
    """What the release tools look at, committed, with a remote that is a folder."""
    folder = tmp_path / "molmo_ros"
    shutil.copytree(ROOT / INNER, folder / INNER, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    for name in ("package.xml", "setup.py", "CHANGELOG.rst", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    run(
        "git init -q --bare -b main ../remote && git init -q -b main && git remote add origin ../remote"
        " && git add . && git commit -qm all && git push -q -u origin main",
        folder,
    )
    return folder


def test_both_packages_get_the_next_version(repository):
    was = parse_package(str(repository)).version
    run(
        block("catkin_prepare_release --bump").replace("prepare_release", "prepare_release --no-push -y"),
        repository,
    )
    major, minor, _ = was.split(".")
    wanted = f"{major}.{int(minor) + 1}.0"
    for folder in (repository, repository / INNER):
        assert parse_package(str(folder)).version == wanted
        versions = get_changelog_from_path(str(folder)).foreach_version()
        assert next((version, date is not None) for version, date, _ in versions) == (wanted, True)
    assert f'version="{wanted}"' in (repository / "setup.py").read_text()
    assert (repository / ".git" / "refs" / "tags" / wanted).is_file()


def test_the_inner_package_gets_a_branch_of_its_own(repository, tmp_path):
    commands = [line for line in block("git subtree").splitlines() if line.startswith("git")]
    assert [line.split()[1] for line in commands] == ["subtree", "tag", "push"]
    run("\n".join(commands), repository)
    run("git clone -q -b msgs-0.1.0 remote released", tmp_path)
    (package,) = find_packages(str(tmp_path / "released")).values()
    assert package.name == "molmo_msgs"
    for name in (package.licenses[0].file, "CHANGELOG.rst", "CMakeLists.txt", "msg/ObjectPoint.msg"):
        assert (tmp_path / "released" / name).is_file()
    # Nothing that cmake reads lies above the package, where it will be alone.
    assert ".." not in (tmp_path / "released" / "CMakeLists.txt").read_text()


def test_binary_packages_depend_on_the_messages_and_on_nothing_of_pip(repository, tmp_path):
    release = tmp_path / "release"
    release.mkdir()
    run("git init -q -b master", release)
    run(block("mkdir -p jazzy"), release)
    laid_over = (release / "jazzy" / "package.xml").read_text()
    assert "<version>:{version}</version>" in laid_over
    package = parse_package_string(laid_over.replace(":{version}", "0.1.0"))  # as bloom fills it in
    whole = parse_package(str(repository))

    def keys(one):
        return {dependency.name for dependency in one.exec_depends}

    assert keys(package) - keys(whole) == {"molmo_msgs"} and not keys(whole) - keys(package)
    assert {"rclpy", "python3-numpy"} <= keys(package)
    assert not [key for key in keys(package) if key.endswith("-pip")]
