"""`python -m benchmarks`: every benchmark of the README, one after the other."""

import subprocess
import sys
from pathlib import Path

for name in ("image_processing", "decoding", "runtimes", "experts", "node_overhead"):
    print(f"\n# {name}\n", flush=True)
    subprocess.run([sys.executable, str(Path(__file__).parent / f"{name}.py")], check=True)
