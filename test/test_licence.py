# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Every source file says whose it is and under which licence, in two lines that tools read (SPDX, REUSE).

What says nothing is listed here by its kind, with the reason; an unknown kind fails, so that somebody decides.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOLDER = "molmo_ros contributors"
COPYRIGHT = re.compile(rf"Copyright (20\d\d)(-20\d\d)? {HOLDER}$", re.M)
LICENCE = re.compile(r"SPDX-License-Identifier: Apache-2\.0$", re.M)
HASH, SLASHES, XML, END = "#", "//", "<!--", "# at the end"
STYLES = {
    **dict.fromkeys(
        (
            ".cfg",
            ".cmake",
            ".in",
            ".ini",
            ".pkg",
            ".py",
            ".repos",
            ".rviz",
            ".sh",
            ".toml",
            ".txt",
            ".yaml",
            ".yml",
        ),
        HASH,
    ),
    **dict.fromkeys((".c", ".cpp", ".h", ".hpp"), SLASHES),
    **dict.fromkeys((".html", ".sdf", ".urdf", ".xml"), XML),
    # The first comment of a definition is what it means, which generators carry on.
    **dict.fromkeys((".action", ".msg", ".srv"), END),
}
"""How a comment looks in files of a kind, by their suffix."""
NAMED = dict.fromkeys(
    (".dockerignore", ".gitattributes", ".gitignore", "Dockerfile", "Makefile", "newest", "pythons", "run"),
    HASH,
)
"""The same for files that have none, by their name."""
SILENT = {
    ".md": "pages, under the LICENSE beside them, read as they are",
    ".rst": "pages, and changelogs that tools read",
    ".json": "the format has no comments",
    ".jsonl": "the format has no comments",
    ".jinja": "a checkpoint's chat template, which goes with its other files",
    ".gif": "pictures",
    ".jpg": "pictures",
    ".png": "pictures",
    ".svg": "pictures",
    ".npz": "arrays: reference vectors",
    ".safetensors": "arrays: weights",
    "COLCON_IGNORE": "what matters is that it is there",
    "LICENSE": "the licence itself",
    "molmo_ros": "empty: the resource index's mark",
    "ask_once": "empty: the same of a package of the tests",
}


def kind(path: Path) -> str:
    """The suffix where there is one that means something, or else the name; Dockerfile.cpu is a Dockerfile."""
    if path.name in NAMED or path.name in SILENT:
        return path.name
    if path.name.split(".")[0] == "Dockerfile":
        return "Dockerfile"
    return path.suffix or path.name


def style(path: Path) -> str | None:
    """How comments of the file look; None where it says nothing."""
    return (STYLES | NAMED).get(kind(path))


def sources(root: Path) -> list[Path]:
    """Files that git has or is about to have, links left out."""
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
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    paths = [root / name for name in sorted(set(filter(None, done.stdout.split("\0"))))]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def notice(path: Path) -> str:
    """Where the two lines must stand: among the first lines, below what a program wants to be first, or the last."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line.removesuffix(" -->") for line in (lines[-2:] if style(path) == END else lines[:6]))


@pytest.fixture(scope="module")
def files():
    try:
        return sources(ROOT)
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("this is no checkout of git")


def test_every_kind_of_file_is_decided(files):
    assert {kind(path) for path in files} - set(STYLES) - set(NAMED) - set(SILENT) == set()


def test_every_source_file_has_the_two_lines(files):
    lacking = [
        path.relative_to(ROOT).as_posix()
        for path in files
        if style(path) and not (COPYRIGHT.search(notice(path)) and LICENCE.search(notice(path)))
    ]
    assert len(files) > 900
    assert lacking == []


def test_nothing_is_under_another_licence(files):
    licences = {
        found
        for path in files
        if style(path)
        for found in re.findall(r"^\W*SPDX-License-Identifier: (\S+)", path.read_text(encoding="utf-8"), re.M)
    }
    assert licences == {"Apache-2.0"}


def test_what_must_be_first_is_first(files):
    """A shebang, or the declaration of XML: behind a comment it is none."""
    for path in files:
        text = path.read_text(encoding="utf-8") if style(path) else ""
        assert "\n#!/" not in text[:400] and "\n<?xml " not in text, path


def test_the_mark_of_the_resource_index_is_empty():
    assert (ROOT / "resource" / "molmo_ros").read_bytes() == b""
