# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A workspace with this repository and two packages that use its messages, built in each way and sourced.

Its messages are compiled once, and installed in four ways.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.usefixtures("readable_ros")


class Variant(NamedTuple):
    install: str
    arguments: tuple[str, ...]

    @property
    def merged(self) -> bool:
        return "--merge-install" in self.arguments

    @property
    def linked(self) -> bool:
        return "--symlink-install" in self.arguments


# Beside the first install/, whose kind is not changed; and colcon itself does not see that a package's prefix has.
MERGED = ("--merge-install", "--install-base", "merged", "--cmake-force-configure")
VARIANTS = {
    "isolated": Variant("install", ()),
    "isolated symlink": Variant("install", ("--symlink-install",)),
    "merged symlink": Variant("merged", (*MERGED, "--symlink-install")),
    "merged": Variant("merged", MERGED),
}
EXECUTABLES = {"check_camera", "molmo-ros", "molmo_node", "molmo_sim_camera"}


@pytest.fixture(scope="module")
def half_built(shared_workspace):
    """The first build, interrupted as by Ctrl-C while it compiles."""
    shared_workspace.clone()
    shared_workspace.add_consumers()
    build = shared_workspace.folder / "build"
    process = subprocess.Popen(
        [f"{sys.prefix}/bin/colcon", "build"],
        cwd=shared_workspace.folder,
        env=shared_workspace.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while len([*build.rglob("*.o")]) < 10:
        assert process.poll() is None, "the build ended before anything was compiled"
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) != 0
    return shared_workspace


@pytest.fixture(scope="module", params=VARIANTS)
def built(request, half_built, old_setuptools):
    """The workspace after one more build, of the variant.

    With an old setuptools: somebody else's package in Python has only what setuptools brings (test_setuptools.py).
    """
    variant = VARIANTS[request.param]
    done = half_built.colcon("build", *variant.arguments, PYTHONPATH=str(old_setuptools))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 packages finished" in done.stdout
    return half_built, variant


def prefix(workspace, variant, package) -> Path:
    return workspace.folder / variant.install / ("" if variant.merged else package)


def output(done) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("setup", ["setup.bash", "local_setup.bash"])
def test_sourcing_names_what_the_messages_need(built, setup):
    workspace, variant = built
    names = ("AMENT_PREFIX_PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "PATH")
    line = "; ".join(f'echo "${name}"' for name in names)
    values = output(workspace.sourced(variant.install, line, setup)).splitlines()
    paths = {name: value.split(":") for name, value in zip(names, values, strict=True)}
    messages, package = (prefix(workspace, variant, name) for name in ("molmo_msgs", "molmo_ros"))
    python = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    assert {str(messages), str(package)} <= set(paths["AMENT_PREFIX_PATH"])
    assert str(messages / python) in paths["PYTHONPATH"]
    assert str(messages / "lib") in paths["LD_LIBRARY_PATH"]
    assert str(package / "bin") in paths["PATH"]


@pytest.mark.parametrize("package", ["molmo_msgs", "molmo_ros", "ask_once", "count_points"])
def test_every_package_is_found_by_its_prefix(built, package):
    """By the call behind `ros2 pkg prefix`."""
    workspace, variant = built
    code = f"import ament_index_python as index; print(index.get_package_prefix('{package}'))"
    found = output(workspace.sourced(variant.install, f'python3 -c "{code}"'))
    assert Path(found) == prefix(workspace, variant, package)


def test_python_takes_messages_and_package_from_the_workspace(built):
    workspace, variant = built
    code = (
        "import molmo_msgs.msg as m, molmo_ros, rclpy.serialization as s; a = m.ObjectPointArray(text='a mug'); "
        "assert s.deserialize_message(s.serialize_message(a), m.ObjectPointArray) == a; "
        "print(m.__file__); print(molmo_ros.__file__)"
    )
    messages, package = map(
        Path, output(workspace.sourced(variant.install, f'python3 -c "{code}"')).splitlines()
    )
    assert prefix(workspace, variant, "molmo_msgs") in messages.parents
    home = workspace.source if variant.linked else prefix(workspace, variant, "molmo_ros")
    assert home in package.resolve().parents


def test_a_cpp_program_is_linked_to_the_messages(built):
    """Its type has the hash that the wheels' generators give to the same definitions."""
    workspace, variant = built
    program = prefix(workspace, variant, "count_points") / "lib/count_points/count_points"
    # The wheels' own modules find the wheels' libraries by themselves; a program does where a ROS is sourced.
    line = f"LD_LIBRARY_PATH=$LD_LIBRARY_PATH:{sys.prefix}/lib {program}"
    points, type_hash = output(workspace.sourced(variant.install, line)).split()
    wheel = json.loads(Path(sys.prefix, "share/molmo_msgs/msg/ObjectPointArray.json").read_text())
    hashes = {entry["type_name"]: entry["hash_string"] for entry in wheel["type_hashes"]}
    assert points == "3" and type_hash == hashes["molmo_msgs/msg/ObjectPointArray"]


def test_ros2_run_finds_every_executable_with_the_python_that_built_it(built):
    workspace, variant = built
    folder = prefix(workspace, variant, "molmo_ros") / "lib/molmo_ros"
    assert {path.name for path in folder.iterdir()} == EXECUTABLES
    for path in folder.iterdir():
        assert os.access(path, os.X_OK)
        assert path.read_text().splitlines()[0] == f"#!{sys.executable}"


def test_the_command_line_is_on_the_path_and_finds_the_models(built):
    workspace, variant = built
    where, *models = output(
        workspace.sourced(variant.install, "command -v molmo-ros && molmo-ros models")
    ).split("\n")
    assert Path(where) == prefix(workspace, variant, "molmo_ros") / "bin/molmo-ros"
    assert any("molmo2-4b" in line for line in models)


def test_launch_files_are_links_if_asked_for(built):
    workspace, variant = built
    share = prefix(workspace, variant, "molmo_ros") / "share/molmo_ros"
    file = share / "launch/molmo.launch.py"
    source = workspace.source / "molmo_ros/launch/molmo.launch.py"
    assert file.is_symlink() == variant.linked and file.samefile(source) == variant.linked
    assert file.read_text() == source.read_text()


def test_the_node_answers_a_package_that_knows_the_messages_alone(built, domain):
    workspace, variant = built
    environment = {"ROS_DOMAIN_ID": str(domain), "ROS_LOG_DIR": str(workspace.folder / "ros_log")}
    node = prefix(workspace, variant, "molmo_ros") / "lib/molmo_ros/molmo_node"
    question = f"{sys.executable} -m ask_once.question"
    with contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            workspace.after_sourcing(variant.install, f"exec {node}"),
            env=workspace.environment | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        stack.callback(process.communicate, timeout=30)
        stack.callback(process.terminate)
        log = []
        while not any("is ready" in line for line in log):
            log.append(process.stderr.readline())
            assert log[-1], "".join(log)
        done = workspace.run(*workspace.after_sourcing(variant.install, question), **environment)
    status, messages = output(done).splitlines()[-1].split()
    assert status == "NO_IMAGE"
    assert prefix(workspace, variant, "molmo_msgs") in Path(messages).parents
