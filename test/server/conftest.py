# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Servers to ask, and the same model in this process."""

import sys
from pathlib import Path

import pytest

from molmo_ros.engine.load import load_molmo

sys.path.insert(0, str(Path(__file__).parent))
from running_server import ServerProcess, Table  # noqa: E402


@pytest.fixture
def serve(tmp_path):
    """Starts servers that end with the test."""
    started = []

    def start(*arguments, **environment):
        folder = tmp_path / f"server{len(started)}"
        folder.mkdir()
        started.append(ServerProcess(folder, *arguments, **environment))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="package")
def served(tmp_path_factory):
    """The embedded model, served; nothing on it is changed by a test."""
    server = ServerProcess(tmp_path_factory.mktemp("served"), "--time-limit", "30")
    yield server
    assert server.stop() == 0, server.errors.read_text()


@pytest.fixture(scope="package")
def direct():
    """The same model in this process."""
    return load_molmo("tiny")


@pytest.fixture(scope="package")
def tables():
    return [Table(seed) for seed in (3, 4, 5)]
