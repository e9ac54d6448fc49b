# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What Fast DDS calls things: by the installed version, and as the middleware itself does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from molmo_ros.node.fast_dds import (
    VERSION_2,
    VERSION_3,
    has_profile,
    installed_fast_dds,
    profile_environment,
)

pytest.importorskip("rclpy", reason="needs ROS 2")
ROOT = Path(__file__).parents[2]
BEGIN = "import rclpy; rclpy.init(); rclpy.create_node('profiled'); rclpy.shutdown()"


def prefix(folder, version):
    manifest = folder / "share" / "rmw_fastrtps_cpp" / "package.xml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(
        f'<package format="3"><name>rmw_fastrtps_cpp</name><version>{version}</version></package>'
    )
    return folder


@pytest.mark.parametrize(
    ("version", "generation"),
    [("6.2.7", VERSION_2), ("8.4.3", VERSION_2), ("9.3.3", VERSION_3), ("10.0.0", VERSION_3)],
)
def test_goes_by_the_version(tmp_path, version, generation):
    assert installed_fast_dds([tmp_path / "workspace", prefix(tmp_path / "ros", version)]) == generation


def test_the_first_prefix_that_has_it_counts(tmp_path, monkeypatch):
    old, new = prefix(tmp_path / "old", "8.4.3"), prefix(tmp_path / "new", "9.3.3")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{old}:{new}")
    assert installed_fast_dds() == VERSION_2
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    assert installed_fast_dds() == VERSION_3


def test_a_choice_by_either_name_is_one():
    assert has_profile({VERSION_2.profile_variable: "mine.xml"})
    assert has_profile({VERSION_3.profile_variable: "mine.xml"}) and not has_profile({})


def test_this_middleware_reads_it_and_does_not_complain(tmp_path, domain):
    """It names a profile that cannot be read, which it says; and a good one, about which it says nothing."""
    broken = tmp_path / "broken.xml"
    broken.write_text("<profiles><this is no XML")
    good = Path(__file__).parents[2] / "config" / "fastdds_shm.xml"
    kept = {name: value for name, value in os.environ.items() if not has_profile({name: value})}
    kept |= {"ROS_DOMAIN_ID": str(domain)}

    def said(file):
        environment = kept | {installed_fast_dds().profile_variable: str(file)}
        done = subprocess.run([sys.executable, "-c", BEGIN], env=environment, capture_output=True, text=True)
        return done.stdout + done.stderr

    assert str(broken) in said(broken)
    assert said(good) == ""


def test_what_a_launch_file_sets():
    (variable,) = profile_environment(ROOT, {})
    assert variable == installed_fast_dds().profile_variable
    assert Path(profile_environment(ROOT, {})[variable]).is_file()
    for one in (VERSION_2, VERSION_3):
        assert profile_environment(ROOT, {one.profile_variable: "mine.xml"}) == {}
