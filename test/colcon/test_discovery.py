# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What colcon finds in a workspace that has this repository in it, and in which order it builds."""

import configparser
import shutil
import sys
from pathlib import Path

import pytest

if sys.version_info < (3, 11):
    import tomli as tomllib
else:
    import tomllib

ROOT = Path(__file__).resolve().parents[2]
MESSAGES = "src/molmo_ros/interfaces/molmo_msgs"
PACKAGE = "src/molmo_ros/colcon/molmo_ros"


def packages(workspace, *arguments, cwd="."):
    """Paths by name, in the order of building."""
    done = workspace.colcon("list", "--topological-order", *arguments, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found = [line.split("\t")[:2] for line in done.stdout.splitlines()]
    assert len(dict(found)) == len(found), found
    return dict(found)


def test_both_packages_and_no_others_are_found_without_being_named(workspace):
    workspace.clone()
    assert packages(workspace) == {"molmo_msgs": MESSAGES, "molmo_ros": PACKAGE}
    assert packages(workspace, "--packages-up-to", "molmo_ros") == packages(workspace)
    types = workspace.colcon("list").stdout.splitlines()
    assert [line.split("\t")[2] for line in types] == ["(ros.ament_cmake)", "(ros.ament_python)"]


def test_a_clone_is_its_own_workspace(workspace):
    clone = workspace.clone()
    found = packages(workspace, cwd=clone)
    assert found == {"molmo_msgs": "interfaces/molmo_msgs", "molmo_ros": "colcon/molmo_ros"}


def test_the_inner_package_may_still_be_named(workspace):
    workspace.clone()
    assert packages(workspace, "--base-paths", "src", MESSAGES) == packages(workspace)


def test_packages_that_depend_on_the_messages_come_after_them(workspace):
    """Their names come first in the alphabet, and they name molmo_msgs alone."""
    workspace.clone()
    workspace.add_consumers()
    order = list(packages(workspace))
    assert set(order) == {"ask_once", "count_points", "molmo_msgs", "molmo_ros"} and order[0] == "molmo_msgs"


@pytest.mark.parametrize("clone", ["molmo_ros", "a_clone"], ids=["beside comes first", "beside comes last"])
@pytest.mark.parametrize("how", ["copy", "link"])
def test_messages_beside_the_clone_are_the_ones_that_are_used(workspace, how, clone):
    inner = workspace.clone(clone) / "interfaces/molmo_msgs"
    beside = workspace.source / "molmo_msgs"
    if how == "copy":
        shutil.copytree(inner, beside)
    else:
        beside.symlink_to(f"{clone}/interfaces/molmo_msgs")
    assert packages(workspace) == {
        "molmo_msgs": "src/molmo_msgs",
        "molmo_ros": f"src/{clone}/colcon/molmo_ros",
    }


def test_messages_elsewhere_in_the_workspace_are_named_with_both_paths(workspace):
    clone = workspace.clone()
    shutil.copytree(clone / "interfaces/molmo_msgs", workspace.source / "vendor/molmo_msgs")
    done = workspace.colcon("build")
    assert done.returncode != 0 and "Duplicate package names" in done.stderr
    assert MESSAGES in done.stderr and "src/vendor/molmo_msgs" in done.stderr


def test_colcon_test_has_the_settings_of_make_test():
    """It runs in a folder of its own, where pytest does not see pyproject.toml."""
    there = configparser.ConfigParser()
    there.read(ROOT / "colcon/molmo_ros/pytest.ini")
    settings = dict(there["pytest"])
    here = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert [(ROOT / "colcon/molmo_ros" / settings.pop("testpaths")).resolve()] == [ROOT / "test"]
    assert (ROOT / "colcon/molmo_ros" / settings.pop("pythonpath")).resolve() == ROOT
    assert settings.pop("addopts").split() == here["addopts"]
    assert settings.pop("markers").strip().splitlines() == here["markers"]
    assert settings.pop("norecursedirs").split() == here["norecursedirs"]
    assert not settings and here.keys() == {"testpaths", "addopts", "markers", "norecursedirs"}
