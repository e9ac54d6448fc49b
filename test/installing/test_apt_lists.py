# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The lists of versions that go with each system: whole, of what is asked for today, and nothing of apt's in them."""

import hashlib
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
FILES = ("apt-ros.txt", "engine.txt", "sim.txt")
# Ubuntu 22.04, Debian 12, Ubuntu 24.04, Debian 13 and Ubuntu 26.04, by their Python, and the numpy of each.
SYSTEMS = {"3.10": "1.21.5", "3.11": "1.24.2", "3.12": "1.26.4", "3.13": "2.2.4", "3.14": "2.2"}
OF_APT = {"numpy", "setuptools", "opencv-python", "opencv-python-headless"}


def asked(*files):
    """What the requirement files ask for."""
    lines = [line for file in files for line in (REQUIREMENTS / file).read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def name(text):
    return re.sub(r"[-_.]+", "-", text).lower()


def pins(version):
    lines = (REQUIREMENTS / f"apt-ros-{version}.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_there_is_one_for_each_system():
    assert {path.stem.removeprefix("apt-ros-") for path in REQUIREMENTS.glob("apt-ros-*.txt")} == set(SYSTEMS)


@pytest.mark.parametrize("version", SYSTEMS)
def test_it_answers_what_is_asked_for(version):
    listed = pins(version)
    for requirement in asked(*FILES):
        wanted = not requirement.marker or requirement.marker.evaluate({"python_version": version})
        if name(requirement.name) in OF_APT or not wanted:
            continue
        assert requirement.specifier.contains(listed[name(requirement.name)]), requirement
    lines = [line for file in FILES for line in (REQUIREMENTS / file).read_text().splitlines()]
    text = "".join(f"{line}\n" for line in lines if line and not line.startswith("#")).encode()
    head = (REQUIREMENTS / f"apt-ros-{version}.txt").read_text().split("\n")[3:5]
    made_of = hashlib.sha256(text).hexdigest()[:16]
    assert f"sha256 {made_of}." in head[1], "requirements/apt_lists.sh makes them again"
    assert f"Python {version} and its numpy>={SYSTEMS[version]},<{int(SYSTEMS[version][0]) + 1};" in head[0]


@pytest.mark.parametrize("version", SYSTEMS)
def test_nothing_of_apt_and_nothing_of_a_gpu_is_in_it(version):
    listed = pins(version)
    assert not {
        n for n in listed if n in OF_APT or n.startswith(("torch", "triton", "nvidia", "cuda", "opencv"))
    }
    assert len(listed) > 30 and all(re.fullmatch(r"[0-9][0-9a-z.]*", pin) for pin in listed.values())


def test_a_robot_of_apt_needs_what_every_machine_needs():
    """The two requirement files of the node go together: core.txt less what apt or the machine brings."""
    core = {str(requirement) for requirement in asked("core.txt")}
    assert {str(requirement) for requirement in asked("apt-ros.txt")} == core - {
        "opencv-python-headless",
        "torch",
    }
