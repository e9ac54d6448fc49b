"""`python -m benchmarks`: every benchmark of the README, one after the other."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

for name in ("image_processing", "decoding", "runtimes", "experts", "node_overhead"):
    print(f"\n# {name}\n", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True, cwd=ROOT)
