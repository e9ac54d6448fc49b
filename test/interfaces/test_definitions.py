# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The interface packages' files agree with each other, and say what every field means."""

import re
from pathlib import Path

import pytest
from catkin_pkg.package import parse_package

ROOT = Path(__file__).parents[2]
MOLMO_MSGS = ROOT / "interfaces" / "molmo_msgs"
TF2_MSGS = ROOT / "interfaces" / "tf2_msgs"
PACKAGES = [MOLMO_MSGS, TF2_MSGS]
DEFINITIONS = sorted(
    path
    for package in PACKAGES
    for kind in ("msg", "srv", "action")
    for path in (package / kind).glob(f"*.{kind}")
)


def by_name(paths):
    return pytest.mark.parametrize("path", paths, ids=[path.name for path in paths])


def used_packages(folder):
    """Packages whose types appear in the definitions of a package."""
    lines = [line for path in DEFINITIONS if folder in path.parents for line in path.read_text().splitlines()]
    return {match.group(1) for line in lines if (match := re.match(r"(\w+)/\w+(\[.*?\])? +\w", line))}


def names(dependencies):
    return {dependency.name for dependency in dependencies}


@by_name(DEFINITIONS)
def test_every_field_is_explained(path):
    """By a comment on its line, or by one in its block: lines without an empty one between them."""
    blocks = re.split(r"\n\s*\n|\n---\n|^---\n", path.read_text().strip())
    for block in blocks:
        lines = block.strip().splitlines()
        for number, line in enumerate(lines):
            if not re.match(r"[\w/]+(\[.*?\])? +[a-z]\w*", line):
                continue
            assert "#" in line or any(above.startswith("#") for above in lines[:number]), (
                f"{line!r} has no comment"
            )


@by_name(PACKAGES)
def test_manifests_are_valid(path):
    warnings = []
    manifest = parse_package(path, warnings=warnings)
    assert manifest.name == path.name and not warnings
    assert "rosidl_interface_packages" in {group.name for group in manifest.member_of_groups}


@by_name(PACKAGES)
def test_what_definitions_use_is_declared(path):
    used = used_packages(path)
    assert used and used <= names(parse_package(path).build_depends)


def test_cmake_builds_every_definition():
    text = (MOLMO_MSGS / "CMakeLists.txt").read_text()
    listed = re.findall(r'"((?:msg|srv|action)/\w+\.\w+)"', text)
    assert sorted(listed) == sorted(
        path.relative_to(MOLMO_MSGS).as_posix() for path in DEFINITIONS if MOLMO_MSGS in path.parents
    )
    found = set(re.findall(r"find_package\((\w+) REQUIRED\)", text))
    manifest = parse_package(MOLMO_MSGS)
    assert found == names(manifest.build_depends) | names(manifest.buildtool_depends)
    assert used_packages(MOLMO_MSGS) <= set(re.search(r"DEPENDENCIES ([\w ]+)", text).group(1).split())


def test_the_outer_package_names_what_the_inner_one_needs():
    """rosdep and bloom stop searching at molmo_ros and see no package below it."""
    outer, inner = parse_package(ROOT), parse_package(MOLMO_MSGS)
    assert outer.version == inner.version
    assert "molmo_msgs" not in names(outer.exec_depends), "rosdep would stop at a key that nobody has"
    for kind in ("buildtool_depends", "build_depends", "exec_depends"):
        assert names(getattr(inner, kind)) <= names(getattr(outer, kind)), kind


@by_name(PACKAGES)
def test_the_wheels_are_built_against_the_pinned_ros(path):
    requirements = re.findall(
        r'"(ros-[a-z0-9-]+)(?:\[\w+\])?==([0-9.]+)"', (path / "pyproject.toml").read_text()
    )
    pinned = dict(
        re.findall(r"^([\w-]+)==([0-9.]+)$", (ROOT / "requirements/constraints-jazzy.txt").read_text(), re.M)
    )
    assert all(pinned[name] == version for name, version in requirements)
    needed = names(parse_package(path).build_depends)
    assert {f"ros-{name.replace('_', '-')}" for name in needed} <= dict(requirements).keys()


def test_colcon_builds_the_inner_package_and_never_the_stand_in():
    assert (TF2_MSGS / "COLCON_IGNORE").exists()
    assert parse_package(MOLMO_MSGS).get_build_type() == "ament_cmake"
