# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import os
import signal
import subprocess
import sys
import time

import pytest

from molmo_ros.demo import processes
from molmo_ros.demo.processes import Child, ChildError, shortage

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(grandchild.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Makes an importable module of source text and returns its name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(source: str) -> str:
        (tmp_path / "child_under_test.py").write_text(source)
        return "child_under_test"

    return make


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_stubborn_child_and_its_child_are_killed(module, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "GRACE", 0.3)
    child = Child("stubborn", module(STUBBORN), [], tmp_path / "log")
    wait_for(lambda: child.log.read_text().strip())
    grandchild = int(child.log.read_text())
    assert alive(child.pid) and alive(grandchild)
    child.stop()
    wait_for(lambda: not alive(child.pid) and not alive(grandchild))
    child.stop()


def test_an_ended_child_is_reported_with_its_log(module, tmp_path):
    child = Child("camera", module("import sys; print('no lens'); sys.exit(3)"), [], tmp_path / "log")
    wait_for(lambda: not alive(child.pid))
    with pytest.raises(ChildError, match=r"the camera ended with code 3(.|\n)*no lens"):
        child.check()
    child.stop()


def test_children_end_when_the_parent_is_killed(module, tmp_path):
    name = module("import time; print('up', flush=True); time.sleep(600)")
    parent_code = f"""
import time
from pathlib import Path
from molmo_ros.demo.processes import Child
print(Child("orphan", {name!r}, [], Path({str(tmp_path / "log")!r})).pid, flush=True)
time.sleep(600)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), str(tmp_path)])}
    with subprocess.Popen(
        [sys.executable, "-c", parent_code], stdout=subprocess.PIPE, env=environment
    ) as parent:
        pid = int(parent.stdout.readline())
        wait_for(lambda: "up" in (tmp_path / "log").read_text())
        parent.send_signal(signal.SIGKILL)
        wait_for(lambda: not alive(pid))


def test_room_is_no_reason_to_speak(tmp_path):
    assert shortage(tmp_path, needed=0) is None


def test_a_shortage_names_the_place_and_the_amount(tmp_path):
    message = shortage(tmp_path, needed=10**18)
    assert message and str(tmp_path) in message and "1000000000000 MB needed" in message


@pytest.mark.parametrize("missing", [True, False])
def test_a_place_that_cannot_be_written_is_named(tmp_path, missing):
    folder = tmp_path / "shm"
    if not missing:
        if os.geteuid() == 0:
            pytest.skip("root writes everywhere")
        folder.mkdir(mode=0o500)
    message = shortage(folder, needed=0)
    assert message and f"{folder} cannot be written" in message
