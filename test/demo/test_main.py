# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The demo as a process: how it ends when it cannot go on. (Its good end is `make demo`, which CI runs.)"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE = 300.0
"""How long a process may take on a machine that is busy otherwise [s]."""

pytest.importorskip("rclpy", reason="needs ROS 2")


def start(folder, *arguments):
    command = [sys.executable, "-m", "molmo_ros.demo", "--output", str(folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def assert_gone(pids):
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "a child outlived the demo"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_stops_its_children(tmp_path, number):
    demo = start(tmp_path)
    pids = []
    while len(pids) < 2:
        line = demo.stdout.readline()
        assert line, demo.stderr.read()
        pids += re.findall(r"\(pid (\d+)", line)
    demo.send_signal(number)
    _, errors = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 130
    assert "interrupted" in errors and "Traceback" not in errors
    assert_gone(pids)


def test_a_node_that_cannot_start_is_reported_with_its_log(tmp_path):
    demo = start(tmp_path, "--model", str(tmp_path / "no_such_model"))
    out, errors = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 1
    assert "the node ended with code" in errors and "no_such_model" in errors and "Traceback" not in errors
    assert_gone(re.findall(r"\(pid (\d+)", out))
    assert os.listdir(tmp_path / "logs")


def test_an_output_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    demo = start(tmp_path / "file" / "output")
    out, errors = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 1 and "started" not in out
    assert "demo failed" in errors and str(tmp_path / "file") in errors and "Traceback" not in errors
