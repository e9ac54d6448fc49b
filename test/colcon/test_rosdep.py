# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`rosdep install` brings what the node needs from apt, on every distribution, and stops at nothing.

With the real rosdep and a database of its form, made of the names in rosdep_keys.yaml; nothing is installed.
"""

import ast
import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KEYS = yaml.safe_load(Path(__file__).with_name("rosdep_keys.yaml").read_text())
DISTRIBUTIONS = KEYS["distributions"]
OPTIONAL = {"moveit_msgs"}
"""Imported where it is installed, and too large to be brought to every robot."""


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The environment of a rosdep that knows the stored keys and has been updated."""
    folder = tmp_path_factory.mktemp("database")

    def write(name, content):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content))
        return path.as_uri()

    keys = {name: {"ubuntu": [name]} for name in KEYS["apt"]}
    keys |= {name: {"ubuntu": {"pip": {"packages": [name]}}} for name in KEYS["pip"]}
    (folder / "sources").mkdir()
    (folder / "sources/20-default.list").write_text(f"yaml {write('keys.yaml', keys)}\n")
    index = {"type": "index", "version": 4, "distributions": {}}
    for name, release in DISTRIBUTIONS.items():
        release_of = {
            "version": "1.0.0-1",
            "url": "file:///",
            "tags": {"release": "release/{package}/{version}"},
        }
        repository = {"release": release_of | {"packages": KEYS["released"]}}
        distribution = {
            "type": "distribution",
            "version": 2,
            "release_platforms": {"ubuntu": [release]},
            "repositories": {"all": repository},
        }
        write(f"{name}/distribution.yaml", distribution)
        cache = {
            "type": "cache",
            "version": 2,
            "name": name,
            "distribution_file": [distribution],
            "release_package_xmls": {},
            "source_repo_package_xmls": {},
        }
        (folder / f"{name}.yaml.gz").write_bytes(gzip.compress(yaml.safe_dump(cache).encode()))
        index["distributions"][name] = {
            "distribution": [f"{name}/distribution.yaml"],
            "distribution_cache": (folder / f"{name}.yaml.gz").as_uri(),
            "distribution_status": "active",
            "distribution_type": "ros2",
            "python_version": 3,
        }
    environment = {
        "ROSDEP_SOURCE_PATH": str(folder / "sources"),
        "ROSDISTRO_INDEX_URL": write("index-v4.yaml", index),
        "ROS_HOME": str(folder / "home"),
    }
    update = [f"{sys.prefix}/bin/rosdep", "update"]
    subprocess.run(update, env=os.environ | environment, check=True, capture_output=True, timeout=60)
    return environment


@pytest.fixture
def rosdep(workspace, database):
    workspace.environment |= database
    # ROS is not sourced: rosdep would leave out what is there.
    del workspace.environment["AMENT_PREFIX_PATH"]

    def install(distribution, *arguments):
        """The command of the README; simulated, for an Ubuntu, and as if nothing was installed."""
        command = ("install", "--from-paths", "src", "--ignore-src", *arguments, "-y")
        system = (f"--rosdistro={distribution}", f"--os=ubuntu:{DISTRIBUTIONS[distribution]}")
        return workspace.run(
            f"{sys.prefix}/bin/rosdep",
            *command,
            "--simulate",
            "--reinstall",
            *system,
            ROS_DISTRO=distribution,
        )

    return install


def packages(done) -> set[str]:
    """What apt would be given; another installer than apt is an error."""
    assert done.stdout.startswith("#[apt]") and done.stdout.count("#[") == 1, done.stdout
    return {line.split()[-1] for line in done.stdout.splitlines()[1:]}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_everything_resolves_to_packages_of_apt(workspace, rosdep, distribution):
    workspace.clone()
    done = rosdep(distribution)
    assert done.returncode == 0, done.stderr
    of_ros = {f"ros-{distribution}-{name.replace('_', '-')}" for name in imported() - OPTIONAL}
    of_python = {"python3-numpy", "python3-opencv", "python3-yaml"}
    assert of_ros | of_python <= packages(done)


def imported() -> set[str]:
    """Packages of ROS that the package imports; the simulator and the training are among its importers."""
    names = set()
    for path in (ROOT / "molmo_ros").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.split(".")[0])
            elif isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
    found = names & set(KEYS["released"])
    assert len(found) > 8
    return found


def test_a_robot_gets_no_simulator_and_no_tools(workspace, rosdep):
    workspace.clone()
    brought = packages(rosdep("jazzy"))
    for name in (
        "ros-jazzy-ros-gz-sim",
        "ros-jazzy-ros-gz-bridge",
        "ros-jazzy-rviz2",
        "ros-jazzy-moveit-msgs",
    ):
        assert name not in brought


def test_a_workspace_goes_on_where_a_package_names_the_messages(workspace, rosdep):
    """rosdep does not see molmo_msgs in the clone; with a link to it beside the clone it does."""
    workspace.clone()
    workspace.add_consumers()
    assert "[molmo_msgs]" in rosdep("jazzy").stderr
    done = rosdep("jazzy", "-r")
    assert done.returncode == 0 and "ros-jazzy-rclpy" in packages(done)
    (workspace.source / "molmo_msgs").symlink_to("molmo_ros/interfaces/molmo_msgs")
    done = rosdep("jazzy")
    assert (done.returncode, done.stderr) == (0, "")


def test_every_stored_key_that_is_named_is_named_somewhere():
    """A package.xml with a key that nobody has looked up fails here before it fails on a robot."""
    from catkin_pkg.package import parse_package

    known = {*KEYS["apt"], *KEYS["released"]}
    for folder in (ROOT, ROOT / "interfaces/molmo_msgs"):
        manifest = parse_package(folder)
        manifest.evaluate_conditions({})
        groups = (
            manifest.build_depends,
            manifest.buildtool_depends,
            manifest.exec_depends,
            manifest.test_depends,
        )
        named = {dependency.name for group in groups for dependency in group}
        assert named and named <= known, named - known
