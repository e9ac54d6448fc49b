# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What apt_ros.sh makes of what it finds; where it cannot go on, it says one sentence with the cure."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from apt_machine import HERE, SCRIPT, AptMachine, whole_machine  # noqa: E402


@pytest.fixture
def machine(tmp_path):
    return AptMachine(tmp_path)


def refusal(done):
    """The one line that says no."""
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("apt_ros: ")]
    return line


def test_no_ros(machine):
    assert "no ROS 2 in /opt/ros; install one first" in refusal(machine.run(machine.workspace))


def test_several_ros_and_none_is_named(machine):
    machine.ros("humble", "3.10")
    machine.ros("jazzy", "3.12")
    said = refusal(machine.run(machine.workspace))
    assert "/opt/ros holds humble jazzy; say which one: ROS_DISTRO=humble" in said
    # Named, the next thing that is missing is named: its own Python.
    said = refusal(machine.run(machine.workspace, ROS_DISTRO="jazzy"))
    assert "there is no /usr/bin/python3.12; install it: sudo apt-get install python3.12" in said


def test_a_sourced_ros_that_is_not_there(machine):
    machine.ros("humble", "3.10")
    said = refusal(machine.run(machine.workspace, ROS_DISTRO="jazzy"))
    assert "no /opt/ros/jazzy/setup.bash (there is: humble)" in said


@pytest.mark.parametrize(
    "distribution, version, packages",
    [
        ("humble", "3.10", "local/lib/python{}/dist-packages"),
        ("jazzy", "3.12", "lib/python{}/site-packages"),
        ("lyrical", "3.14", "lib/python{}/site-packages"),
    ],
)
def test_the_python_is_the_one_that_has_rclpy(machine, distribution, version, packages):
    machine.ros(distribution, version, packages)
    said = refusal(machine.run(machine.workspace))
    assert f"ROS {distribution} is for Python {version}, and there is no /usr/bin/python{version}" in said


def test_a_python_that_is_too_new_or_too_old(machine):
    machine.ros("foxy", "3.8")
    machine.ros("mystic", "3.15")
    said = refusal(machine.run(machine.workspace, ROS_DISTRO="foxy"))
    assert "Python 3.8, which is too old: molmo_ros runs on 3.10 (Humble) to 3.14 (Lyrical)" in said
    said = refusal(machine.run(machine.workspace, ROS_DISTRO="mystic"))
    assert "Python 3.15, which is newer than any" in said and "run an older ROS in a container" in said


def test_what_apt_has_not_installed_is_named(machine):
    machine.ros("jazzy", HERE)
    machine.python(HERE)
    said = refusal(machine.run(machine.workspace))
    assert said.endswith("sudo apt-get install python3-numpy python3-opencv python3-yaml")


def test_arguments(machine):
    assert "--with takes engine, sim, rtx or tensorrt, not 'gpu'" in refusal(machine.run("--with", "gpu"))
    assert "not ''" in refusal(machine.run("--with"))
    assert "there is no option --engine" in refusal(machine.run("--engine"))
    assert "there is no folder '/nowhere'" in refusal(machine.run("/nowhere"))
    said = refusal(machine.run(machine.workspace, machine.home))
    assert said.endswith(f"one workspace at a time, not '{machine.workspace}' and '{machine.home}'")


def test_help_is_the_head_of_the_file(machine):
    done = machine.run("--help")
    assert done.returncode == 0 and "apt_ros.sh [--with" in done.stdout and "set -e" not in done.stdout
    for name in ("ROS_DISTRO", "PLATFORM", "TORCH_INDEX", "TORCH", "WHEELS", "VENV"):
        assert f"\n{name} " in done.stdout and name in SCRIPT.read_text().split("set -euo", 1)[1]


def test_a_path_with_a_space_takes_the_environment_elsewhere(tmp_path):
    machine = AptMachine(tmp_path / "my robot")
    said = refusal(machine.run(machine.workspace))
    assert "holds a space" in said and "VENV=/path/without/spaces" in said
    # Elsewhere it goes on, to the next thing that is missing here.
    assert "no ROS 2 in /opt/ros" in refusal(machine.run(machine.workspace, VENV=tmp_path / "venv"))


TEGRA = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: a day\n"
DRIVER = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  a day\nGCC version: 12\n"


@pytest.mark.parametrize(
    "files, variables, platform",
    [
        ({}, {}, "cpu (no NVIDIA driver)"),
        ({"proc/driver/nvidia/version": DRIVER}, {}, "cuda (NVIDIA driver 580.95.05)"),
        ({"etc/nv_tegra_release": TEGRA}, {}, "jetson (Jetson Linux R36.4.3)"),
        ({"var/lib/dpkg/info/nvidia-l4t-core.list": ""}, {}, "jetson (Jetson Linux)"),
        ({}, {"PLATFORM": "cuda"}, "cuda (given by PLATFORM)"),
    ],
)
def test_the_platform_is_what_is_found(tmp_path, files, variables, platform):
    machine = whole_machine(tmp_path)
    for path, text in files.items():
        machine.file(path, text)
    done = machine.run("--dry-run", machine.workspace, TORCH="torch==2.9", **variables)
    assert done.returncode == 0 and "] torch: torch==2.9 ;" in done.stdout
    assert not machine.environment.exists()
    assert f"ROS jazzy, Python {HERE}, {platform}, workspace {machine.workspace}\n" in done.stdout


def test_an_index_of_torch_is_asked_for_nothing_else(tmp_path):
    machine = whole_machine(tmp_path)
    done = machine.run("--dry-run", "--with", "sim", machine.workspace, TORCH_INDEX="http://127.0.0.1:9/cpu")
    said = done.stdout.splitlines()
    assert (
        "torch: torch --no-deps --index-url http://127.0.0.1:9/cpu; the rest: apt-ros.txt sim.txt, with"
        in said[1]
    )


def test_an_unknown_platform(tmp_path):
    machine = whole_machine(tmp_path)
    assert "PLATFORM is jetson, cuda or cpu, not 'tpu'" in refusal(
        machine.run(machine.workspace, PLATFORM="tpu")
    )


def test_a_jetson_wants_nvidias_torch_and_jetpacks_tensorrt(tmp_path):
    machine = whole_machine(tmp_path)
    machine.file("etc/nv_tegra_release", TEGRA)
    said = refusal(machine.run(machine.workspace))
    assert "this is a Jetson (Jetson Linux R36.4.3), for which PyPI's torch has no CUDA" in said
    assert "TORCH=/path/to/torch.whl" in said and "TORCH_INDEX=URL" in said
    # One that is installed, as by NVIDIA's page, is taken as it is.
    (machine.packages / "torch.py").touch()
    assert "] torch: torch found;" in machine.run("--dry-run", machine.workspace).stdout
    said = refusal(machine.run("--with", "tensorrt", machine.workspace))
    assert "has TensorRT from JetPack" in said and "sudo apt-get install nvidia-jetpack" in said


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path):
    machine = whole_machine(tmp_path)
    (machine.environment / "photos").mkdir(parents=True)
    assert "is there and is no environment; move it away" in refusal(machine.run(machine.workspace))
    assert (machine.environment / "photos").is_dir()


def test_without_a_network_what_is_missing_is_named(tmp_path, template):
    machine = whole_machine(tmp_path, template)
    said = refusal(machine.run(machine.workspace))
    assert "no package index is reached, and these are still missing: torch huggingface_hub==" in said
    assert " safetensors==" in said and " tokenizers==" in said and "numpy" not in said
    assert "pip download -d wheels torch -r requirements/apt-ros.txt" in said
