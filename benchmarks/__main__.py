# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`python -m benchmarks`: every benchmark of the README, one after the other."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

failed = []
for name in ("image_processing", "decoding", "runtimes", "experts", "node_overhead"):
    print(f"\n# {name}\n", flush=True)
    if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT).returncode:
        failed.append(name)
sys.exit(f"failed, or slower than their aims: {', '.join(failed)}" if failed else 0)
