# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The pins and their hashes: the same versions in both, and pip refuses a file that is another."""

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
NAMES = ("core", "ros", "sim", "engine", "rtx", "eval", "serve", "remote", "dev")
DISTROS = ("jazzy", "kilted")
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", re.M)


def pins(name):
    found = {}
    for package, version in PIN.findall((REQUIREMENTS / name).read_text()):
        found.setdefault(re.sub(r"[-_.]+", "-", package).lower(), set()).add(version)
    return found


@pytest.mark.parametrize("distro", DISTROS)
def test_every_pin_with_hashes_is_of_the_same_version(distro):
    pinned = pins("constraints.txt") | pins(f"constraints-{distro}.txt")
    hashed = pins("hashes.txt") | pins(f"hashes-{distro}.txt")
    both = hashed.keys() & pinned.keys()
    assert {name: hashed[name] for name in both} == {name: pinned[name] for name in both}
    assert len(both) > 130
    for name in ("hashes.txt", f"hashes-{distro}.txt"):
        for entry in re.split(r"\n(?=[A-Za-z])", (REQUIREMENTS / name).read_text())[1:]:
            assert re.search(r"--hash=sha256:[0-9a-f]{64}(\s|$)", entry), entry


@pytest.mark.parametrize("distro", DISTROS)
def test_what_is_asked_for_has_hashes_but_torch(distro):
    """As install.sh takes it: the files name Jazzy's packages, other distributions' differ by their name."""
    texts = "\n".join((REQUIREMENTS / f"{name}.txt").read_text() for name in NAMES)
    names = re.findall(r"^([A-Za-z0-9._-]+)", texts.replace("ros-jazzy-", f"ros-{distro}-"), re.M)
    asked = {re.sub(r"[-_.]+", "-", name).lower() for name in names}
    assert asked - (pins("hashes.txt") | pins(f"hashes-{distro}.txt")).keys() == {"torch"}


def test_distributions_differ_in_ros_alone():
    """Whatever is no wheel of ROS is pinned once, and no distribution asks for another's packages."""
    for common in ("constraints.txt", "hashes.txt"):
        assert not [name for name in pins(common) if name.startswith("ros-")]
    for distro in DISTROS:
        others = tuple(f"ros-{other}-" for other in DISTROS if other != distro)
        for file in (f"constraints-{distro}.txt", f"hashes-{distro}.txt"):
            names = pins(file)
            assert f"ros-{distro}-rclpy" in names
            assert not [name for name in names if not name.startswith("ros-") or name.startswith(others)]
    rclpy = [pins(f"constraints-{distro}.txt")["ros-rclpy"] for distro in DISTROS]
    assert rclpy == [{"7.1.6"}, {"9.1.2"}]


@pytest.mark.parametrize(
    "distro, names, message",
    [
        ("humbel", ["core"], "no wheels of ROS 2 'humbel'; DISTRO can be: jazzy kilted"),
        ("kilted", ["core", "colcon"], "Use DISTRO=jazzy"),
    ],
)
def test_a_distribution_that_cannot_be_is_refused_in_a_sentence(distro, names, message):
    done = subprocess.run(
        [REQUIREMENTS / "install.sh", *names],
        env={**os.environ, "DISTRO": distro},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and message in done.stderr and not done.stdout
    assert not (REQUIREMENTS.parent / ".venv-humbel").exists()


def test_pip_refuses_another_file_of_the_same_name(tmp_path):
    """In hashes.txt's own form, with a wheel of one file in a folder in place of an index."""
    wheel = tmp_path / "one_file-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("one_file.py", "")
        archive.writestr(
            "one_file-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: one-file\nVersion: 1.0\n"
        )
        archive.writestr(
            "one_file-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("one_file-1.0.dist-info/RECORD", "")
    command = [sys.executable, "-m", "pip", "install", "--require-hashes", "--no-deps", "--no-index"]
    command += ["--find-links", str(tmp_path), "--target", str(tmp_path / "there")]
    for digest, code in ((hashlib.sha256(wheel.read_bytes()).hexdigest(), 0), ("0" * 64, 1)):
        (tmp_path / "hashes.txt").write_text(f"one-file==1.0 \\\n    --hash=sha256:{digest}\n")
        done = subprocess.run(
            [*command, "--requirement", str(tmp_path / "hashes.txt")], capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
