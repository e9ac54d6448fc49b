"""Which variable names Fast DDS' profile: by the installed version, and as the middleware itself reads it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from molmo_ros.node.fastdds_profile import BEFORE, SINCE, is_chosen, profile_variable

pytest.importorskip("rclpy", reason="needs ROS 2")
BEGIN = "import rclpy; rclpy.init(); rclpy.create_node('profiled'); rclpy.shutdown()"


def prefix(folder, version):
    manifest = folder / "share" / "rmw_fastrtps_cpp" / "package.xml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(
        f'<package format="3"><name>rmw_fastrtps_cpp</name><version>{version}</version></package>'
    )
    return folder


@pytest.mark.parametrize(
    ("version", "variable"), [("6.2.7", BEFORE), ("8.4.3", BEFORE), ("9.3.3", SINCE), ("10.0.0", SINCE)]
)
def test_goes_by_the_version(tmp_path, version, variable):
    assert profile_variable([tmp_path / "workspace", prefix(tmp_path / "ros", version)]) == variable


def test_the_first_prefix_that_has_it_counts(tmp_path, monkeypatch):
    old, new = prefix(tmp_path / "old", "8.4.3"), prefix(tmp_path / "new", "9.3.3")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{old}:{new}")
    assert profile_variable() == BEFORE
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    assert profile_variable() == SINCE


def test_a_choice_by_either_name_is_one():
    assert is_chosen({BEFORE: "mine.xml"}) and is_chosen({SINCE: "mine.xml"}) and not is_chosen({})


def test_this_middleware_reads_it_and_does_not_complain(tmp_path, domain):
    """It names a profile that cannot be read, which it says; and a good one, about which it says nothing."""
    broken = tmp_path / "broken.xml"
    broken.write_text("<profiles><this is no XML")
    good = Path(__file__).parents[2] / "config" / "fastdds_shm.xml"
    kept = {name: value for name, value in os.environ.items() if name not in (BEFORE, SINCE)}
    kept |= {"ROS_DOMAIN_ID": str(domain)}

    def said(file):
        environment = kept | {profile_variable(): str(file)}
        done = subprocess.run([sys.executable, "-c", BEGIN], env=environment, capture_output=True, text=True)
        return done.stdout + done.stderr

    assert str(broken) in said(broken)
    assert said(good) == ""
