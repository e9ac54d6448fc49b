"""What `make test` sets, for a plain `pytest` too: this ROS, and discovery on this machine only."""

import os
import sys
from pathlib import Path

import molmo_ros  # noqa: F401  # before any test imports onnxruntime: it switches telemetry off

os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
profile = Path(__file__).parents[1] / "config" / "fastdds_shm.xml"
os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(profile))
# The tests' models are so small that a second torch thread only waits; and torch's own resize, which tests
# compare with, rounds differently where threads divide the image.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if sys.version_info < (3, 11):
    # The onnxruntime that knows the graphs' operators needs Python 3.11; without it nothing runs an engine here.
    collect_ignore = ["engine", "benchmarks/test_engines.py", "node/test_engines.py"]
    collect_ignore_glob = ["benchmarks/test_gpu*.py"]
