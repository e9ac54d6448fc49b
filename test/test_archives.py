# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What leaves as an archive: whole, nothing else, and it installs and runs where the checkout is not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = ("config", "gazebo", "interfaces", "launch", "molmo_ros", "resource")
"""Folders that go along as they are."""
NOT_FOR_USERS = (".ci", "benchmarks", "docs", "docker", "examples", "test")


def python(*words: str, cwd: Path, **variables: str) -> str:
    """What a Python of this environment says that knows neither the checkout nor its settings."""
    leave_out = ("PYTHONPATH", "MOLMO_ROS_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in leave_out} | variables
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def files():
    """Files of a clean checkout: what git has, and what is about to be added."""
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is no checkout of git")
    return sorted(name for name in done.stdout.split("\0") if name and (ROOT / name).is_file())


@pytest.fixture(scope="module")
def checkout(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkout")
    for name in files:
        if not name.startswith("test/vectors/"):  # large, and surely not wanted
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    # What lies about in a checkout that was worked in.
    for name in ("engines/mine/plan.bin", "interfaces/molmo_msgs/build/x.so", "molmo_ros/__pycache__/x.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def sdist(checkout, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    build = f"from setuptools.build_meta import build_sdist; build_sdist({str(folder)!r})"
    python("-c", build, cwd=checkout)
    (path,) = folder.glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def unpacked(sdist, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, **({"filter": "data"} if sys.version_info >= (3, 12) else {}))
    (top,) = folder.iterdir()
    return top


@pytest.fixture(scope="module")
def wheel(unpacked, tmp_path_factory):
    """Built from what was unpacked, so that nothing comes from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    python("-c", f"from setuptools.build_meta import build_wheel; build_wheel({str(folder)!r})", cwd=unpacked)
    (path,) = folder.glob("*.whl")
    return path


def test_sdist_holds_what_installs_and_nothing_else(files, unpacked):
    found = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    wanted = {name for name in files if name.startswith(tuple(f"{folder}/" for folder in INSTALLED))}
    wanted |= {name for name in files if re.fullmatch(r"requirements/[\w.-]+\.txt", name)}
    wanted |= {"engines/README.md", "LICENSE", "README.md", "CHANGELOG.rst", "QUALITY_DECLARATION.md"}
    wanted |= {"package.xml", "rosdoc2.yaml", "setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in"}
    made = {name for name in found if name == "PKG-INFO" or name.startswith("molmo_ros.egg-info/")}
    assert wanted - found == set()
    assert found - wanted - made == set()
    assert not {name for name in found if name.split("/")[0] in NOT_FOR_USERS}


def test_wheel_holds_the_package_and_its_data(files, wheel):
    with zipfile.ZipFile(wheel) as archive:
        found = set(archive.namelist())
    assert {
        name for name in files if re.match(r"molmo_ros/.*(\.py|py\.typed|checkpoints/.*)$", name)
    } <= found
    data = {name.split(".data/data/")[1] for name in found if ".data/data/" in name}
    for folder in ("launch", "config", "gazebo"):
        assert {f"share/molmo_ros/{name}" for name in files if name.startswith(f"{folder}/")} <= data, folder
    assert {"share/ament_index/resource_index/packages/molmo_ros", "share/molmo_ros/package.xml"} <= data
    assert any(
        name.endswith(".dist-info/licenses/LICENSE") or name.endswith(".dist-info/LICENSE") for name in found
    )
    assert not any(name.split("/")[0] in ("test", "docs", "benchmarks", "interfaces") for name in found)


def test_wheel_installs_and_its_command_runs(wheel, tmp_path):
    target = tmp_path / "there"
    python(
        *("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(target), str(wheel)),
        cwd=tmp_path,
    )
    here = {"PYTHONPATH": str(target), "HOME": str(tmp_path)}
    assert "point" in python(str(target / "bin" / "molmo-ros"), "--help", cwd=tmp_path, **here)
    assert "molmo2-4b" in python(str(target / "bin" / "molmo-ros"), "models", cwd=tmp_path, **here)
    code = "import molmo_ros; print(molmo_ros.__file__); print(molmo_ros.Molmo.from_pretrained('tiny'))"
    assert python("-c", code, cwd=tmp_path, **here).startswith(str(target))


def test_git_leaves_nothing_out_of_its_archives(files, tmp_path):
    """bloom and the forges release what `git archive` gives."""
    git = ["git", "-c", "safe.directory=*"]
    archive = tmp_path / "archive.tar"
    subprocess.run([*git, "archive", "--format=tar", "-o", str(archive), "HEAD"], cwd=ROOT, check=True)
    with tarfile.open(archive) as found:
        names = {member.name for member in found if not member.isdir()}
    listing = [*git, "ls-tree", "-rz", "--name-only", "HEAD"]
    tracked = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert names == set(filter(None, tracked.split("\0")))
