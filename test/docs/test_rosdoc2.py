# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Both packages' pages as docs.ros.org builds them, by the real rosdoc2."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROSDOC2 = Path(sys.executable).with_name("rosdoc2")

pytestmark = [
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the pinned sphinx needs Python 3.11"),
    pytest.mark.skipif(" " in str(ROOT), reason=f"rosdoc2 builds nothing in a path with spaces: {ROOT}"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Where the pages of a package are, and what was said while they were built."""

    def build(package):
        if not ROSDOC2.exists():
            pytest.fail("rosdoc2 is not installed: run requirements/install.sh docs once")
        folder = tmp_path_factory.mktemp("rosdoc2")
        (folder / "checkout").symlink_to(
            ROOT
        )  # rosdoc2 writes paths into Python unquoted where they hold spaces
        done = subprocess.run(
            [
                ROSDOC2,
                "build",
                "-p",
                folder / "checkout" / package,
                "-o",
                "out",
                "-d",
                "build",
                "-c",
                "crossings",
            ],
            cwd=folder,
            env=os.environ
            | {"PATH": f"{ROSDOC2.parent}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        (pages,) = (folder / "out").iterdir()
        return pages, done.stderr

    return build


def test_the_whole_site_without_a_warning(built):
    pages, said = built(".")
    assert [line for line in said.splitlines() if "WARNING" in line] == []
    assert "docs/index.html" in (pages / "index.html").read_text()
    api = (pages / "docs" / "api" / "molmo.html").read_text()
    assert "The label is empty or too long" in api and "Runtime" in api
    assert (pages / "README.html").is_file() and (pages / "_images" / "demo.png").is_file()


def test_messages_have_pages_of_their_own(built):
    pages, _ = built("interfaces/molmo_msgs")

    def text(page):
        return re.sub(r"<[^>]+>", "", (pages / page).read_text())

    assert "geometry_msgs/Pose" in text("interfaces/msg/Grasp.html")
    assert "Changelog for package molmo_msgs" in text("standard_docs/CHANGELOG.html")
