# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Data sets made here, and the command in a process of its own, with two workers of one thread each."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

if missing := [one for one in ("rclpy", "rosbags", "ray", "pyarrow", "av") if find_spec(one) is None]:
    # Not imported to find out: Ray reads what it may open when it is.
    pytest.skip(f"no {missing[0]}; `make test` installs ROS 2 and the extra scale", allow_module_level=True)

import pyarrow.parquet as pq  # noqa: E402

from benchmarks.made_recordings import made_episode, write_bag, write_lerobot  # noqa: E402

QUERIES = ("white mug", "orange cone")


class Labelling:
    """Runs of `molmo-ros label` into one folder."""

    def __init__(self, out):
        self.out = out

    def command(self, *inputs, queries=QUERIES, options=("--rate", "2")):
        asked = [word for query in queries for word in ("--query", query)]
        module = [sys.executable, "-m", "molmo_ros.cli.main", "label"]
        workers = ("--workers", "2", "--cpus-per-model", "1")
        return [*module, *map(str, inputs), *asked, "--out", str(self.out), *workers, *options]

    def run(self, *inputs, code=0, **named):
        """Runs to its end; returns what it said on both streams."""
        done = subprocess.run(
            self.command(*inputs, **named),
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        return said

    def start(self, *inputs, **named):
        return subprocess.Popen(
            self.command(*inputs, **named),
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def sets(self):
        return sorted(one.parent for one in self.out.glob("*/manifest.json"))

    @property
    def root(self):
        (only,) = self.sets
        return only

    def rows(self):
        return pq.read_table(self.root / "labels.parquet").to_pylist()

    def manifest(self):
        return json.loads((self.root / "manifest.json").read_text())

    def units(self):
        """The files of finished units, by name."""
        return sorted(self.root.glob("episodes/*/*/*/labels.parquet"))


@pytest.fixture(scope="session")
def episodes():
    """Six episodes of 20 frames; the first shows a white mug and an orange cone."""
    return [made_episode(seed) for seed in range(6)]


@pytest.fixture(scope="session")
def dataset(episodes, tmp_path_factory):
    """A LeRobot data set: six episodes in two files, two cameras, a name with a space and an accent."""
    return write_lerobot(tmp_path_factory.mktemp("made") / "sét one", episodes, ("top", "wrist"), together=4)


@pytest.fixture(scope="session")
def bags(episodes, tmp_path_factory):
    """Three bags, sqlite3, MCAP and compressed, with names that shells do not like."""
    folder = tmp_path_factory.mktemp("made") / "bägs 1"
    write_bag(folder / "a b", episodes[0], ("/top/image",))
    write_bag(folder / "ü", episodes[1], ("/top/image",), mcap=False)
    write_bag(folder / "c", episodes[2], ("/top/image",), mcap=False, packed=True)
    return folder


@pytest.fixture
def labelling(tmp_path):
    return Labelling(tmp_path / "öut put")


@pytest.fixture
def copied(tmp_path):
    """Copies something, to be damaged."""

    def copy(path):
        target = tmp_path / "copies" / Path(path).name
        shutil.copytree(path, target)
        return target

    return copy
