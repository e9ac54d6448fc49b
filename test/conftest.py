# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What `make test` sets, for a plain `pytest` too: this ROS, and discovery on this machine only."""

import contextlib
import os
import random
import re
import shutil
import socket
import sys
from pathlib import Path

import pytest

import molmo_ros  # noqa: F401  # before any test imports onnxruntime: it switches telemetry off
from molmo_ros.node.fast_dds import GENERATIONS, VERSION_3, has_profile, installed_fast_dds

SLOW = (
    "bag/",
    "check/test_check_process.py",
    "benchmarks/",
    "cli/test_bag.py",
    "cli/test_command_process.py",
    "cli/test_eval.py",
    "cli/test_fetch.py",
    "cli/test_label.py",
    "cli/test_main.py",
    "cli/test_readme_command_line.py",
    "colcon/",
    "demo/test_main.py",
    "demo/test_plan.py",
    "docs/",
    "engine/",
    "distributions/",
    "evaluation/test_engine_evaluation.py",
    "interfaces/",
    "labelling/",
    "launch/",
    "installing/test_apt_ros_environment.py",
    "installing/test_apt_ros_decisions.py",
    "gazebo/test_recorded_tabletop.py",
    "geometry/test_registration.py",
    "molmo/answers/test_image_encoder.py",
    "molmo/answers/test_point_format.py",
    "molmo/images/test_limit_crops.py",
    "molmo/network/",
    "molmo/pointing/test_point_chooser.py",
    "molmo/reference/",
    "molmo/running/test_fixed_pass.py",
    "molmo/running/test_static_decode.py",
    "molmo/scoring/",
    "molmo/test_pipeline.py",
    "molmo/test_pipeline_inputs.py",
    "molmo/test_pipeline_limits.py",
    "molmo/test_torch_defaults.py",
    "engine/runtimes/test_tensorrt_warm_up.py",
    "molmo/test_warm_up.py",
    "molmo/weights/test_adapter.py",
    "molmo/weights/test_checkpoint.py",
    "molmo/weights/test_damaged_checkpoint.py",
    "molmo/weights/test_tied_head.py",
    "molmo/weights/test_stored_names.py",
    "pick/test_main.py",
    "regions/",
    "remote/",
    "server/test_bad_requests.py",
    "server/test_hostile_clients.py",
    "server/test_model_worker.py",
    "server/test_openai_client.py",
    "server/test_server_process.py",
    "sim/test_camera_node.py",
    "sim/test_picking_table.py",
    "sim/test_true_grasps.py",
    "test_archives.py",
    "test_telemetry.py",
    "tracking/test_simulated_camera.py",
    "train/",
)
"""Where processes are started, models trained or asked a lot, scenes rendered by the dozen, or engines
built; and what has the fixture `domain`."""
FIRST = (
    "benchmarks/test_node.py",
    "colcon/test_built_workspace.py",
    "cli/test_fetch.py",
    "check/test_check_process.py",
    "engine/test_engine_build.py",
    "benchmarks/test_first_gpu.py",
    "benchmarks/test_gpu.py",
    "node/test_gazebo.py",
)
"""The files that take longest, which begin first, so that at the end no worker has a long one left."""
CLAIMS = 32768
"""Whoever uses domain N for tests holds TCP port 32768 + N, by the agreement of ROS' `domain_coordinator`."""


@contextlib.contextmanager
def claimed_domain():
    """A ROS domain that nothing else on this machine is in, for as long as the context lasts.

    Domains up to 101 keep clear of Linux' ephemeral ports, and 0 is where everybody is. Participants that asked
    nobody are found by the ports of their discovery (RTPS 2.2, 9.6.1.1: 7400 + 250 domain + 10 + 2 participant).
    """
    ports = {
        int(re.search(r"\d+$", path.name)[0])
        for one in GENERATIONS
        for path in Path("/dev/shm").glob(one.ports)
    }

    def left_behind(domain):  # by a process that was killed: FastDDS complains, and each port costs it time
        return any(7400 + 250 * domain <= port < 7650 + 250 * domain for port in ports)

    for domain in sorted(random.sample(range(1, 102), 101), key=left_behind):
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
if not has_profile(os.environ):
    os.environ[installed_fast_dds().profile_variable] = str(profile)
# The tests' models are so small that a second torch thread only waits; and torch's own resize, which tests
# compare with, rounds differently where threads divide the image.
os.environ.setdefault("OMP_NUM_THREADS", "1")
collect_ignore = []
if installed_fast_dds() is VERSION_3:
    collect_ignore.append("colcon")  # of Kilted there are no wheels of all that a build by CMake needs
if sys.version_info < (3, 11):
    # The onnxruntime that knows the graphs' operators needs Python 3.11; without it nothing runs an engine here.
    collect_ignore += [
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


def _below_test(path):
    return path.relative_to(Path(__file__).parent).as_posix()


def _slow(path):
    return _below_test(path).startswith(SLOW)


def pytest_ignore_collect(collection_path, config):
    """What is left out is not even imported."""
    if config.option.markexpr == "not slow" and _slow(collection_path):
        return True
    return None


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(_below_test(item.path), len(FIRST)))  # stable
    for item in items:
        if _slow(item.path) or "domain" in item.fixturenames:
            item.add_marker("slow")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """One more than there are cores, up to four, as tests of the node wait more than they calculate.

    Fewer where there is no room: a worker takes up to 2 GB, and has up to three ROS processes, each with a segment of
    17.6 MB of the memory between processes (config/fastdds_shm.xml).
    """
    available = re.search(r"MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text())
    room = shutil.disk_usage("/dev/shm").free / (3 * 17.6e6), int(available[1]) / 2.5e6
    return max(1, min(4, 1 + len(os.sched_getaffinity(0)), *map(int, room)))


@pytest.fixture(scope="session")
def claim():
    """A claim of a ROS domain as a context manager, as every run and module makes one."""
    return claimed_domain


@pytest.fixture(scope="module")
def domain():
    """A ROS domain of the module's own: nothing that an earlier module left behind is met."""
    with claimed_domain() as number:
        yield number


@pytest.fixture
def cuda(monkeypatch):
    """A CUDA device made of the CPU, see `cuda_stand_in`."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from cuda_stand_in import cuda_stand_in

    with cuda_stand_in(monkeypatch) as device:
        yield device
