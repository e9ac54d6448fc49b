# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Changed engines: a short run of the fuzzer, and that it sees what it looks for."""

import sys

import pytest

from benchmarks import fuzz_engines


@pytest.fixture
def run(monkeypatch, capsys):
    monkeypatch.setenv("MOLMO_ROS_HOME", "/nowhere")  # put back at the end: the fuzzer sets its own

    def fuzz(*arguments):
        monkeypatch.setattr(sys, "argv", ["fuzz_engines", *map(str, arguments)])
        return fuzz_engines.main(), capsys.readouterr().out

    return fuzz


def test_nothing_but_errors_of_the_package(run):
    code, out = run("--count", 25, "--first", 20_000)
    assert code == 0, out
    assert "25 changed engines, 0 failures" in out


def test_a_fault_is_seen_and_named(run, monkeypatch):
    calls = []

    def careless():
        calls.append(1)
        if len(calls) > 1:
            raise KeyError("not looked for")

    monkeypatch.setattr(fuzz_engines, "find_engines", careless)
    code, out = run("--count", 2, "--first", 7)
    assert code == 1 and "2 changed engines, 2 failures" in out
    assert "input 7, " in out and "input 8, " in out and "KeyError: 'not looked for'" in out
