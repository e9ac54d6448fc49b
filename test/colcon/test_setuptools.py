# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The package is built and linked with each setuptools: 80 took out what colcon's --symlink-install calls."""

import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("readable_ros")

LINKED, COPIED = ("--symlink-install",), ()


@pytest.fixture(params=["installed", "old"])
def setuptools(request, old_setuptools):
    """The environment that gives it, and before 80 or not."""
    environment = {"PYTHONPATH": str(old_setuptools)} if request.param == "old" else {}
    code = "import setuptools; print(setuptools.__version__)"
    version = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert (int(version.split(".")[0]) < 80) == (request.param == "old")
    return environment


@pytest.mark.parametrize("order", [(LINKED, COPIED), (COPIED, LINKED)], ids=["links first", "copies first"])
def test_links_and_copies_in_either_order(workspace, setuptools, order):
    clone = workspace.clone()
    # All that is needed of the messages: they are installed elsewhere.
    ros = workspace.folder / "ros/share/molmo_msgs"
    ros.mkdir(parents=True)
    shutil.copy(clone / "interfaces/molmo_msgs/package.xml", ros)
    elsewhere = {"AMENT_PREFIX_PATH": str(workspace.folder / "ros")}
    prefix = workspace.folder / "install/molmo_ros"
    for arguments in order:
        done = workspace.colcon(
            "build", "--packages-ignore", "molmo_msgs", *arguments, **elsewhere, **setuptools
        )
        assert done.returncode == 0, done.stderr
        code = "import molmo_ros; print(molmo_ros.__file__)"
        ran = workspace.sourced("install", f'python3 -c "{code}"; command -v molmo-ros; molmo-ros models')
        assert ran.returncode == 0, ran.stderr
        file, command, *models = ran.stdout.splitlines()
        assert command == str(prefix / "bin/molmo-ros")
        assert any("molmo2-4b" in line for line in models)
        linked = arguments == LINKED
        assert file.startswith(str(workspace.folder / "build" if linked else prefix))
        for path in (
            "share/molmo_ros/launch/molmo.launch.py",
            "share/molmo_ros/config/models/molmo2-4b.yaml",
        ):
            assert (prefix / path).is_symlink() == linked and (prefix / path).is_file()
