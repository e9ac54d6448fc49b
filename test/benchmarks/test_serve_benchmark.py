# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The measurement of a server: its table is whole, and its clients are answered by a real one."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_table(tmp_path):
    command = [sys.executable, "-m", "benchmarks.serve", "--rounds", "2", "--clients", "1", "3", "--overhead"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (\d+) \| ([\w ]+) \| ([\d.]+), (\d+) \| ([\d.]+), (\d+) \|", done.stdout, re.M)
    assert [(int(clients), pictures) for clients, pictures, *_ in rows] == [
        (1, "the same"), (1, "each its own"), (3, "the same"), (3, "each its own")
    ]  # fmt: skip
    assert all(float(value) > 0 for row in rows for value in row[2:])
    assert re.search(r"^\| over loopback \| [\d.]+ \|", done.stdout, re.M)
