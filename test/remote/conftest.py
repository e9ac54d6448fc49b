# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Servers for the remote engine's tests, and pictures to ask about."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scripted_server import ScriptedServer  # noqa: E402

from molmo_ros.remote.server_address import KEY  # noqa: E402


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)


@pytest.fixture
def server():
    running = ScriptedServer()
    yield running
    running.stop()


@pytest.fixture
def picture():
    """uint8 [h, w, 3], in which every pixel is another."""
    rows, columns = np.mgrid[0:120, 0:200]
    return np.stack([columns, rows, (rows * 7 + columns * 3) % 256], axis=2).astype(np.uint8)
