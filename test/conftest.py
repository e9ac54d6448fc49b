"""What `make test` sets, for a plain `pytest` too: this ROS, and discovery on this machine only."""

import contextlib
import os
import random
import shutil
import socket
import sys
from pathlib import Path

import pytest

import molmo_ros  # noqa: F401  # before any test imports onnxruntime: it switches telemetry off

SLOW = (
    "benchmarks/",
    "demo/test_main.py",
    "engine/",
    "interfaces/",
    "launch/",
    "sim/test_camera_node.py",
    "test_telemetry.py",
    "train/",
)
"""Where processes are started, models trained or engines built, besides what has the fixture `domain`."""
CLAIMS = 32768
"""Whoever uses domain N for tests holds TCP port 32768 + N, by the agreement of ROS' `domain_coordinator`."""


@contextlib.contextmanager
def claimed_domain():
    """A ROS domain that nothing else on this machine is in, for as long as the context lasts.

    Domains up to 101 keep clear of Linux' ephemeral ports, and 0 is where everybody is. Participants that asked
    nobody are found by the ports of their discovery (RTPS 2.2, 9.6.1.1: 7400 + 250 domain + 10 + 2 participant).
    """
    for domain in random.sample(range(1, 102), 101):
        with contextlib.ExitStack() as sockets:
            claim = sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            try:
                claim.bind(("", CLAIMS + domain))
                for participant in range(20):
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as discovery:
                        discovery.bind(("", 7400 + 250 * domain + 10 + 2 * participant))
            except OSError:
                continue
            yield domain
            return
    pytest.exit("all ROS domains from 1 to 101 are in use on this machine", 2)


os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
profile = Path(__file__).parents[1] / "config" / "fastdds_shm.xml"
os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(profile))
# The tests' models are so small that a second torch thread only waits; and torch's own resize, which tests
# compare with, rounds differently where threads divide the image.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if sys.version_info < (3, 11):
    # The onnxruntime that knows the graphs' operators needs Python 3.11; without it nothing runs an engine here.
    collect_ignore = [
        "engine",
        "benchmarks/test_engines.py",
        "benchmarks/test_fuzz_engines.py",
        "node/test_engines.py",
    ]
    collect_ignore_glob = ["benchmarks/test_gpu*.py"]


def pytest_configure(config):
    """A domain of this process' own, whatever the caller's is: runs and workers go on side by side."""
    context = claimed_domain()
    os.environ["ROS_DOMAIN_ID"] = str(context.__enter__())
    config.add_cleanup(lambda: context.__exit__(None, None, None))


def _slow(path):
    return path.relative_to(Path(__file__).parent).as_posix().startswith(SLOW)


def pytest_ignore_collect(collection_path, config):
    """What is left out is not even imported."""
    if config.option.markexpr == "not slow" and _slow(collection_path):
        return True
    return None


def pytest_collection_modifyitems(items):
    for item in items:
        if _slow(item.path) or "domain" in item.fixturenames:
            item.add_marker("slow")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Two, as the tests wait about as long as they calculate; one where memory between processes is scarce.

    A test has up to three ROS processes, each with a segment of 17.6 MB (config/fastdds_shm.xml).
    """
    return 2 if shutil.disk_usage("/dev/shm").free > 2 * 3 * 17.6e6 else 1


@pytest.fixture
def claim():
    """A claim of a ROS domain as a context manager, as every run and module makes one."""
    return claimed_domain


@pytest.fixture(scope="module")
def domain():
    """A ROS domain of the module's own: nothing that an earlier module left behind is met."""
    with claimed_domain() as number:
        yield number
