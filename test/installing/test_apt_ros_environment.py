# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Environments made by apt_ros.sh with a real venv and a real pip, of wheels in a folder in place of an index."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from apt_machine import wheel, whole_machine  # noqa: E402

TORCH = """
__version__ = "1.0"
from_numpy = lambda array: type("Tensor", (), {"numpy": lambda self: array})()
class version: cuda = None
class cuda: is_available = staticmethod(lambda: False)
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    wheel(folder, "torch", {"torch/__init__.py": TORCH})
    for name in ("safetensors", "tokenizers", "huggingface_hub"):
        wheel(folder, name, {f"{name}/__init__.py": f'__version__ = "1.0"\nwhole = "{name}"\n'})
    return folder


@pytest.fixture(scope="module")
def machine(tmp_path_factory, template, wheels):
    """With an environment, for the tests that leave it whole."""
    machine = whole_machine(tmp_path_factory.mktemp("machine"), template)
    # The list's versions are not those of the small wheels.
    machine.lists = {"APT_ROS_LISTS": wheels}
    (machine.packages / "colcon_core").mkdir()
    (machine.packages / "colcon_core/__init__.py").touch()
    (machine.packages / "colcon_core/command.py").write_text(
        "import sys\nmain = lambda: print(sys.executable)\n"
    )
    done = machine.run(machine.workspace, WHEELS=wheels, **machine.lists)
    assert done.returncode == 0, done.stdout + done.stderr
    machine.said = done.stdout
    return machine


def of_environment(machine, code):
    command = [machine.environment / "bin/python", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_it_has_what_is_missing_and_hides_nothing_of_apt(machine):
    assert of_environment(machine, "import torch; print(torch.__file__)").startswith(
        str(machine.site_packages)
    )
    for module in ("numpy", "cv2", "yaml"):
        file = of_environment(machine, f"import {module}; print({module}.__file__)")
        assert file.startswith(str(machine.packages)), file
    installed = {path.name.split("-")[0] for path in machine.site_packages.glob("*.dist-info")}
    assert installed - {"pip", "setuptools"} == {"torch", "safetensors", "tokenizers", "huggingface_hub"}
    assert "numpy 2." in machine.said or "numpy 1." in machine.said


def test_colcon_neither_searches_it_nor_builds_with_another_python(machine):
    assert (machine.environment / "COLCON_IGNORE").is_file()
    done = subprocess.run([machine.environment / "bin/colcon"], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == machine.environment / "bin/python"


def test_it_ends_with_the_next_commands(machine):
    commands = machine.said.split("Next:\n")[1].splitlines()
    assert [line.strip() for line in commands[:5]] == [
        f"cd {machine.workspace}",
        "source /opt/ros/jazzy/setup.bash",
        f"source {machine.environment}/bin/activate",
        "colcon build",
        "source install/setup.bash",
    ]


def test_the_constraints(machine):
    import numpy

    lines = (machine.environment / "constraints.txt").read_text().splitlines()
    major = int(numpy.__version__.split(".")[0])
    assert lines[0] == f"numpy>={numpy.__version__},<{major + 1}"
    assert {"opencv-python<0", "opencv-python-headless<0"} <= set(lines)


def test_the_second_time_nothing_is_done_and_no_network_is_needed(machine):
    log = (machine.environment / "pip.log").read_bytes()
    done = machine.run(machine.workspace, **machine.lists)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything is installed already" in done.stdout and "Next:" in done.stdout
    assert (machine.environment / "pip.log").read_bytes() == log


def test_where_apts_numpy_is_another_it_is_looked_at_again(machine, tmp_path):
    """By what decides it, not by the environment being there: here another platform."""
    done = machine.run(machine.workspace, PLATFORM="cuda", **machine.lists)
    assert "already" not in done.stdout and done.returncode == 0, done.stdout + done.stderr
    assert "torch 1.0 is built without CUDA" in done.stdout
    assert machine.run(machine.workspace, **machine.lists).returncode == 0


@pytest.fixture
def own(tmp_path, template, wheels):
    """A machine and a way to run its script with the wheels, for a test that breaks what is there."""
    machine = whole_machine(tmp_path, template)
    return machine, lambda **variables: machine.run(
        machine.workspace, **{"WHEELS": wheels, "APT_ROS_LISTS": wheels} | variables
    )


def test_what_was_cut_short_is_made_again(own):
    machine, run = own
    assert run().returncode == 0
    # Ended while pip was copying: no list of files yet, half the module.
    (machine.environment / ".installed").unlink()
    (machine.environment / ".installing").touch()
    (machine.site_packages / "tokenizers-1.0.dist-info/RECORD").unlink()
    (machine.site_packages / "tokenizers/__init__.py").write_text("")
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert of_environment(machine, "import tokenizers; print(tokenizers.whole)") == "tokenizers"
    assert not (machine.environment / ".installing").exists()
    # Ended before there was a pip.
    subprocess.run(["rm", "-r", machine.site_packages / "pip"], check=True)
    done = run()
    assert done.returncode == 0 and "half made or of another Python: it is made again" in done.stdout
    assert of_environment(machine, "import tokenizers; print(tokenizers.whole)") == "tokenizers"


def test_a_folder_of_wheels_that_lacks_one(own, tmp_path):
    machine, run = own
    done = run(WHEELS=tmp_path)
    assert done.returncode == 1
    assert (
        f"the folder {tmp_path} lacks a wheel" in done.stderr
        and "Missing: torch huggingface_hub" in done.stderr
    )


def test_a_package_that_would_hide_apts_opencv_is_not_installed(own, wheels, tmp_path):
    machine, run = own
    folder = tmp_path / "more"
    wheel(folder, "opencv_python", {"cv2/__init__.py": ""})
    wheel(folder, "torch", {"torch/__init__.py": TORCH}, requires="opencv-python")
    for path in wheels.iterdir():
        if not path.name.startswith("torch"):
            (folder / path.name).symlink_to(path)
    done = run(WHEELS=folder)
    assert done.returncode == 1
    assert (
        "torch 1.0 depends on opencv-python, The user requested (constraint) opencv-python<0" in done.stderr
    )
    assert not (machine.site_packages / "cv2").exists()


def test_a_numpy_of_the_users_own_is_named(own):
    machine, run = own
    user = machine.user_packages
    (user / "numpy").mkdir(parents=True)
    (user / "numpy/__init__.py").write_text('__version__ = "99.0"\n')
    done = run()
    assert done.returncode == 1
    assert f"numpy 99.0 of {user}/numpy/__init__.py hides apt's" in done.stderr
    assert "pip uninstall numpy" in done.stderr
    subprocess.run(["rm", "-r", user], check=True)
    assert run().returncode == 0


def test_an_opencv_of_the_users_own_is_named(own):
    machine, run = own
    user = machine.user_packages
    info = user / "opencv_python-4.12.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: opencv-python\nVersion: 4.12.0\n")
    done = run()
    assert done.returncode == 1 and "pip uninstall opencv-python " in done.stderr
