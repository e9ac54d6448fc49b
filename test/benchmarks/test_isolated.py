# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Parts of benchmarks in processes of their own: what comes back of those that end well, badly, and not at all."""

import time

import pytest
import torch

from benchmarks.gpu_memory import PeakMemory
from benchmarks.isolated import one_device, run_isolated


def run(code, limit=60.0, environment=None):
    return run_isolated(["-c", code], limit, environment)


def test_the_last_line_is_the_answer():
    found, said = run("print('a table'); print('{\"a\": 1}')")
    assert found == {"a": 1} and said.startswith("a table\n")
    assert run("print('no object')") == ({}, "no object\n")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise SystemExit('there is no such thing')", "there is no such thing (status 1)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "no message (status -11)"),
        ("raise RuntimeError('CUDA error: an illegal memory access')", "illegal memory access (status 1)"),
    ],
)
def test_a_part_that_dies_says_why_and_leaves_the_others(code, error):
    found, _ = run(code)
    assert found["error"].endswith(error)
    assert run("print('{\"a\": 2}')")[0] == {"a": 2}


def test_a_part_that_hangs_is_ended():
    started = time.monotonic()
    found, _ = run("import time; time.sleep(1000)", limit=2.0)
    assert found == {"error": "ended after 2 s"} and time.monotonic() - started < 100


def test_a_child_sees_the_device_that_is_meant_and_no_other():
    """TensorRT and drivers mean the first GPU: cuda:1 must be that."""
    assert one_device("cuda:1", {"A": "b"}) == ("cuda", {"A": "b", "CUDA_VISIBLE_DEVICES": "1"})
    assert one_device("cuda:1", {"CUDA_VISIBLE_DEVICES": "3,GPU-5"})[1] == {"CUDA_VISIBLE_DEVICES": "GPU-5"}
    assert one_device("cuda", {"A": "b"}) == ("cuda", {"A": "b"})
    assert one_device("cpu", {}) == ("cpu", {})
    with pytest.raises(SystemExit, match="cuda:2 is not there: CUDA_VISIBLE_DEVICES=0,1 shows 2 GPUs"):
        one_device("cuda:2", {"CUDA_VISIBLE_DEVICES": "0,1"})


def test_a_peak_is_one_that_has_passed(monkeypatch):
    """What is in use at the end is less than what was."""
    uses = iter([2e9, 9e9, *[3e9] * 10_000])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10e9 - next(uses), 10e9))
    with PeakMemory(torch.device("cuda")) as memory:
        time.sleep(0.3)
    assert memory.before_gb == pytest.approx(2) and memory.peak_gb == pytest.approx(9)
