# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The benchmarks of engines run, and print what they promise, at the embedded models' size."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*words):
    result = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return [line for line in result.stdout.splitlines() if line.startswith("| ")][1:]


def test_runtimes():
    rows = run("benchmarks.runtimes", "--repeats", "1")
    assert [row.split("|")[1].strip() for row in rows][-2:] == ["one token", "a whole query"]
    for row in rows[:5]:
        assert float(row.split("|")[5]) < 1e-4


def test_graph_parity():
    (row,) = run("benchmarks.graph_parity", "test/vectors/molmo2-4b-tiny")
    assert all(float(cell) < 1e-4 for cell in row.split("|")[2:-1])


def test_building():
    """A hundredth of a Molmo2-4B, from random weights to both engines."""
    (row,) = run("benchmarks.building", "--models", "4b", "--precisions", "int4", "--shrink", "30")
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[:2] == ["4b", "int4"] and float(cells[8]) > 0.9


def test_quantisation():
    rows = run("benchmarks.quantisation", "--scenes", "1", "--queries", "2", "--calibration", "2")
    assert {row.split("|")[1].split(",")[0].strip() for row in rows} == {
        "float16", "bfloat16", "int8", "int4", "fp8", "nvfp4",
    }  # fmt: skip
