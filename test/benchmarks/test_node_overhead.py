"""The benchmark of the node's overhead runs to its end; how long things take is its own matter."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "node_overhead.py"


def test_every_case_is_measured():
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])}
    command = [sys.executable, str(SCRIPT), "--frames", "2", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1), done.stderr  # 1: slower than the aim
    rows = json.loads(done.stdout[done.stdout.index("{") :])["rows"]
    assert {(row["size"], row["picture"]) for row in rows} == {
        (size, picture) for size in ("640x480", "1920x1080") for picture in ("rgb8", "bgr8", "yuyv")
    }
    assert all(0 < row["median_ms"] <= row["p95_ms"] for row in rows)
