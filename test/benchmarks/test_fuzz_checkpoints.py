# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Damaged checkpoint folders: a short run of the fuzzer, and that it sees what it looks for."""

import sys

import pytest

from benchmarks import fuzz_checkpoints


@pytest.fixture
def run(monkeypatch, capsys):
    def fuzz(*arguments):
        monkeypatch.setattr(sys, "argv", ["fuzz_checkpoints", *map(str, arguments)])
        return fuzz_checkpoints.main(), capsys.readouterr().out

    return fuzz


def test_nothing_but_errors_of_the_package(run):
    code, out = run("--count", 40, "--first", 10_000)
    assert code == 0, out
    assert "40 damaged folders, 0 failures" in out


def test_a_fault_is_seen_and_named(run, monkeypatch):
    def careless(folder):
        if folder.name == "damaged":
            raise KeyError("not looked for")

    monkeypatch.setattr(fuzz_checkpoints, "read_calibration", careless)
    code, out = run("--count", 2, "--first", 7)
    assert code == 1 and "2 damaged folders, 2 failures" in out
    assert "input 7, " in out and "input 8, " in out and "KeyError: 'not looked for'" in out
