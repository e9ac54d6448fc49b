# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Real Ray: what it opens, who works, and what becomes of units that kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.labelling_overhead import SleepingWorker
from molmo_ros.labelling.label_unit import Episode, LabelUnit
from molmo_ros.labelling.labelling_error import LabellingError
from molmo_ros.labelling.ray_workers import RayWorkers, ray_cluster
from molmo_ros.labelling.worker_needs import WorkerNeeds, fitting

GB = 1e9
NEEDS = WorkerNeeds(2, cpus=1)


class DeadlyWorker(SleepingWorker):
    """Some units kill it, one of them only the first time, others raise."""

    def label(self, unit):
        mark = self._staging / "killed"
        if unit.episode.name == "deadly" or (unit.episode.name == "deadly once" and not mark.exists()):
            if unit.episode.name == "deadly once":
                mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if unit.episode.name == "wrong":
            raise ValueError("it is wrong")
        return super().label(unit)


class UnloadableWorker(SleepingWorker):
    """Has no memory for its model."""

    def __init__(self, **named):
        raise RuntimeError("CUDA out of memory")


@pytest.fixture(scope="module")
def ray():
    with ray_cluster(cpus=2) as ray:
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
        yield ray


def unit(name, index):
    return LabelUnit(Episode("made", name, "bag", Path("/"), index), "/image")


def make(tmp_path):
    return {"staging": tmp_path, "seconds": 0.02, "rows": 1}


def listening(pids):
    """Local addresses that processes listen on, as /proc has them: hexadecimal."""
    inodes = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                inodes[fields[9]] = fields[1].rsplit(":", 1)[0]
    found = set()
    for pid in pids:
        try:
            for one in Path(f"/proc/{pid}/fd").iterdir():
                target = os.readlink(one)
                if target.startswith("socket:["):
                    found.add(inodes.get(target[8:-1]))
        except OSError:
            continue
    return found - {None}


def test_every_socket_is_on_loopback(ray, tmp_path):
    from test.labelling.test_labelling_failures import processes_below

    workers = RayWorkers(ray, make(tmp_path), NEEDS, print, SleepingWorker)
    workers.run(iter([unit("one", 1), unit("two", 2)]), lambda _outcome: None, lambda _states: None)
    pids = [os.getpid(), *(pid for pid, _ in processes_below(os.getpid()))]
    addresses = listening(pids)
    workers.stop()
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert addresses and addresses <= loopback


def test_who_has_no_token_is_turned_away(ray, tmp_path):
    address = ray.get_runtime_context().gcs_address
    code = (
        "import ray, sys\n"
        "try:\n"
        f"    ray.init(address={address!r}, log_to_driver=False)\n"
        "    print('in', ray.nodes())\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    token = os.environ["RAY_AUTH_TOKEN"]
    for given, expected in ((token, "in ["), ("0" * 64, "InvalidAuthToken")):
        environment = os.environ | {"RAY_AUTH_TOKEN": given, "RAY_AUTH_MODE": "token"}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment
        )
        assert expected in done.stdout + done.stderr
        assert done.stdout.startswith("in [") == (given == token)


def test_a_cluster_that_is_there_already(ray, labelling, dataset):
    address = ray.get_runtime_context().gcs_address
    said = labelling.run(dataset, options=("--rate", "1", "--cameras", "top", "--address", address))
    assert "6 labelled now" in said
    assert {row["status"] for row in labelling.rows()} == {"FOUND", "NOT_FOUND"}
    assert ray.cluster_resources()["CPU"] == 2  # it is there still


def test_no_usage_statistics_leave(ray):
    from ray._common.usage import usage_lib

    assert not usage_lib.usage_stats_enabled()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_unit_that_kills_is_tried_twice_and_the_others_are_done_once(ray, tmp_path):
    units = [unit(f"good {n}", n) for n in range(8)]
    units[2:2] = [unit("deadly", 100), unit("deadly once", 101), unit("wrong", 102)]
    outcomes, said = [], []
    workers = RayWorkers(ray, make(tmp_path), NEEDS, said.append, DeadlyWorker)
    workers.run(iter(units), outcomes.append, lambda _states: None)
    workers.stop()
    assert sorted(one.unit.episode.name for one in outcomes) == sorted(one.episode.name for one in units)
    failed = {one.unit.episode.name: one.error for one in outcomes if one.error}
    assert failed.keys() == {"deadly", "wrong"}
    assert "its worker (process " in failed["deadly"] and "died" in failed["deadly"]
    assert failed["wrong"] == "ValueError: it is wrong"
    assert sum("deadly once" in line for line in said) == 1


def test_a_model_that_fits_no_worker(ray, tmp_path):
    with pytest.raises(LabellingError) as caught:
        workers = RayWorkers(ray, make(tmp_path), NEEDS, lambda _line: None, UnloadableWorker)
        workers.run(iter([unit("one", 1)]), lambda _outcome: None, lambda _states: None)
    said = str(caught.value)
    assert said.startswith("no worker can load the model: ") and "CUDA out of memory" in said
    assert "It does not fit a worker: fewer --workers, --dtype bfloat16" in said


def node(**resources):
    return {"Alive": True, "Resources": resources}


def test_as_many_workers_as_fit():
    nodes = [
        node(CPU=8.0, GPU=2.0, memory=64 * GB),
        node(CPU=4.0, memory=16 * GB),
        {"Alive": False, "Resources": {}},
    ]
    resources = {"CPU": 12.0, "GPU": 2.0}
    assert fitting(WorkerNeeds(), nodes, resources) == WorkerNeeds(12, 0.0, 1, 0)
    assert fitting(WorkerNeeds(memory=int(20 * GB)), nodes, resources) == WorkerNeeds(3, 0.0, 4, int(20 * GB))
    assert fitting(WorkerNeeds(gpus=0.5), nodes, resources) == WorkerNeeds(4, 0.5, 3, 0)
    assert fitting(WorkerNeeds(count=2, cpus=4), nodes, resources) == WorkerNeeds(2, 0.0, 4, 0)
    assert (
        fitting(WorkerNeeds(gpus=1.0, memory=int(99 * GB)), nodes, resources).count == 2
    )  # its weights are elsewhere


def test_a_model_larger_than_any_machine():
    with pytest.raises(LabellingError) as caught:
        fitting(WorkerNeeds(memory=int(33 * GB)), [node(CPU=2.0, memory=16 * GB)], {"CPU": 2.0})
    assert "does not fit a worker: it takes about 33.0 GB, and the largest machine has 16.0 GB" in str(
        caught.value
    )


def test_a_cluster_of_ones_own_ends_with_its_process(tmp_path):
    """Also where that is killed."""
    code = "from molmo_ros.labelling.ray_workers import ray_cluster\nimport time\nwith ray_cluster(cpus=1):\n"
    child = subprocess.Popen(
        [sys.executable, "-c", f"{code}    print('up', flush=True)\n    time.sleep(600)"], stdout=-1
    )
    assert child.stdout.readline() == b"up\n"
    from test.labelling.test_labelling_failures import is_running, processes_below

    below = [pid for pid, _ in processes_below(child.pid)]
    assert below
    child.kill()
    child.wait()
    end = time.monotonic() + 240
    while left := [pid for pid in below if is_running(pid)]:
        assert time.monotonic() < end, left
        time.sleep(0.2)
