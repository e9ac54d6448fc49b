# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Engines on disk whose files are small and real; nothing here runs them."""

import hashlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from molmo_ros.engine.runtime_table import RUNTIMES
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.store.build_folder import BuildFolder
from molmo_ros.engine.store.manifest import EngineFile, Manifest

NAME = "tiny-rtx40-int4"
COMMAND = "molmo-ros build tiny --target rtx40 --precision int4 --max-crops 4 --max-context 2048"


class Workshop:
    """Makes engines in a home of its own."""

    command = COMMAND

    def __init__(self, home: Path) -> None:
        self.home = home

    def contents(self, runtime="tensorrt_rtx", seed=b"built") -> dict[str, bytes]:
        """What the files of an engine hold: some kilobytes that differ."""
        return {name: hashlib.sha512(seed + name.encode()).digest() * 500 for name in RUNTIMES[runtime].files}

    def manifest(self, contents: dict[str, bytes] | None = None, **changes) -> Manifest:
        """A manifest for files of the given contents."""
        values = {
            "name": NAME,
            "model": "tiny",
            "runtime": "tensorrt_rtx",
            "target": "rtx40",
            "precision": "int4",
            "dtype": "bfloat16",
            "shapes": Shapes(4, 2048, 1024, 800, 4),
            "checkpoint_sha256": "c" * 64,
            "build": {"precision": "int4", "calibration": 12, "shapes": {"max_crops": 4}},
            "versions": {"molmo_ros": "0.4.0", "tensorrt_rtx": "1.7.1.116"},
            "compute_capability": "8.9",
            "quality": {"answers": 12, "identical": 11},
            "created": "2026-11-25T07:00:00+00:00",
            "command": COMMAND,
        } | changes
        contents = self.contents(values["runtime"]) if contents is None else contents
        files = {
            name: EngineFile(hashlib.sha256(content).hexdigest(), len(content))
            for name, content in contents.items()
        }
        return Manifest(**({"files": files} | values))

    def build(self, name=NAME, seed=b"built", **changes) -> Path:
        """Installs an engine as a build does; returns its folder."""
        contents = self.contents(changes.get("runtime", "tensorrt_rtx"), seed)
        with BuildFolder(self.home, name) as building:
            for file, content in contents.items():
                (building.path / file).write_bytes(content)
            (building.path / "build.json").write_text("{}")
            return building.install(self.manifest(contents, name=name, **changes))

    def run(self, code: str) -> int:
        """Runs Python code that knows this as `workshop` in a process of its own; returns the exit code.

        Not a fork: libraries that other tests have loaded have threads, whose locks would stay taken in the child.
        """
        own = f"from pathlib import Path; from runpy import run_path; path = Path({str(self.home)!r})"
        own = f"{own}\nworkshop = run_path({__file__!r})['Workshop'](path)\n"
        return subprocess.run([sys.executable, "-c", own + textwrap.dedent(code)]).returncode


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path / "engines")


@pytest.fixture
def engine(workshop):
    """The folder of an engine that was built and installed."""
    return workshop.build()
