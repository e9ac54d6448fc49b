# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Workers on Ray: one actor for each copy of the model, units of work to whoever is free. The only file that knows Ray.

Ray starts the workers, places them on GPUs and cores, finds out that one has died, and brings tasks and results. Of
scheduling, only this is here: a worker has one unit at a time, and what fails is tried once more on another worker.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from molmo_ros.labelling.label_unit import LabelUnit, UnitOutcome
from molmo_ros.labelling.labelling_error import DiskFullError, LabellingError, MissingExtraError
from molmo_ros.labelling.unit_worker import UnitWorker, WorkerState
from molmo_ros.labelling.worker_needs import WorkerNeeds, fitting

ATTEMPTS = 2
"""How often a unit is tried, the second time on another worker."""
OBJECT_STORE = 80 << 20
"""Of a Ray of our own; units and outcomes are small [bytes]. Ray takes no less than 75 MiB."""
POLL = 0.5
"""How often progress is asked for [s]."""
PLACED_WITHIN = 120.0
"""Where no worker is ready by then, it is said [s]."""
GOES_ON = (
    ": what is done is kept; run the same command, which goes on with what is missing (a cluster of yours has to be "
    "started again first)"
)
HEAD_TIMEOUT = 5.0
"""A head that does not take a connection for so long is gone [s]."""


@dataclass
class _Worker:
    """An actor.

    Attributes:
        number: From 1; one in place of a dead one has a new number.
        actor: Ray's handle.
        began: When it was asked for, on the clock of `time.monotonic` [s].
        state: What it last said.
        unit: What it is at.
        tries: How often that has been tried before.
    """

    number: int
    actor: Any
    began: float
    state: WorkerState | None = None
    unit: LabelUnit | None = None
    tries: int = 0


@contextmanager
def ray_cluster(address: str = "", cpus: int = 0) -> Iterator[Any]:
    """Connects to a cluster, or starts a Ray of this process's own, which only this machine can reach.

    Args:
        address: Of a cluster; empty for one of our own.
        cpus: Cores that it may use; 0 for all.

    Raises:
        LabellingError: There is no cluster at the address, or Ray cannot start.
        MissingExtraError: Ray is not installed.
    """
    if not address:
        # What Ray does on a laptop: every socket on 127.0.0.1, and none on the machine's own address.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        # Other users of this machine reach that: they need a token, which Ray would leave in a file that all can read.
        os.environ["RAY_AUTH_MODE"] = "token"
        if "ray" not in sys.modules:  # it reads its token once
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtraError("ray") from error
    common: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": "CRITICAL"}
    folder = ""
    try:
        if address:
            common.pop("include_dashboard")
            _reach(address)
            ray.init(address=address, **common)
        else:
            ray._private.ray_constants.ENABLE_RAY_CLUSTER = False  # had it been imported before
            folder = tempfile.mkdtemp(prefix="molmo-ray-", dir="/tmp")  # a socket's path may have 107 letters
            ray.init(
                num_cpus=cpus or len(os.sched_getaffinity(0)),
                object_store_memory=OBJECT_STORE,
                _node_ip_address="127.0.0.1",
                _temp_dir=folder,
                **common,
            )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        where = f"there is no Ray cluster at {address}" if address else "Ray cannot start here"
        raise LabellingError(f"{where}: {' '.join(str(error).split())[:300]}") from error
    try:
        yield ray
    finally:
        with suppress(Exception):  # of a Ray that is gone
            ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


class RayWorkers:
    """All workers of a run.

    Args:
        ray: Of `ray_cluster`.
        make: Arguments of `UnitWorker` for a worker, but for its threads.
        needs: What each is given.
        say: Called with a line about what happened to a worker.
        worker: What each is: a `UnitWorker`, or what has its `state` and `label`.

    Attributes:
        workers: Those that are there.
        ready: When the first of them had its model, on the clock of `time.monotonic` [s]; 0 while none has.

    Raises:
        LabellingError: The cluster has no room for one.
    """

    def __init__(
        self,
        ray: Any,
        make: dict[str, Any],
        needs: WorkerNeeds,
        say: Callable[[str], None],
        worker: type = UnitWorker,
    ) -> None:
        self._ray, self._make, self._say, self._class = ray, make, say, worker
        self._needs = fitting(needs, ray.nodes(), ray.cluster_resources())
        self._head = _HeadWatch(ray)
        self._numbers, self._told = 0, False
        self.workers: list[_Worker] = []
        self.ready = 0.0
        self._refs: dict[Any, tuple[_Worker, str]] = {}
        self._refused: list[str] = []
        self._again: deque[tuple[LabelUnit, int, str]] = deque()
        for _ in range(self._needs.count):
            self._start()

    @property
    def needs(self) -> WorkerNeeds:
        """What each is given, and how many there are."""
        return self._needs

    def run(
        self,
        units: Iterator[LabelUnit],
        on_outcome: Callable[[UnitOutcome], None],
        on_progress: Callable[[list[WorkerState]], None],
    ) -> None:
        """Has all units done, each by one worker, or says why it failed.

        Args:
            units: What is to be done; taken one by one.
            on_outcome: Called with the outcome of each, once.
            on_progress: Called now and then with what the workers are at.

        Raises:
            LabellingError: No worker can load the model, the disk is full, or Ray is gone.
        """
        self._on_outcome = on_outcome
        ahead: LabelUnit | None = next(units, None)
        while True:
            for worker in [one for one in self.workers if one.state is not None and one.unit is None]:
                if given := self._second_try(worker, ahead is None):
                    self._give(worker, given[0], given[1] + 1)
                elif ahead is not None:
                    self._give(worker, ahead, 0)
                    ahead = next(units, None)
            busy = any(one.unit is not None for one in self.workers)
            if ahead is None and not self._again and not busy:
                return
            self._wait(on_progress)

    def stop(self) -> None:
        """Ends all workers; what they have not finished is not done."""
        for worker in self.workers:
            with suppress(Exception):
                self._ray.kill(worker.actor)
        self.workers.clear()

    def _start(self) -> None:
        needs = self._needs
        self._numbers += 1
        actor_class = self._ray.remote(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            memory=needs.memory or None,
            max_restarts=0,  # a dead worker's unit is looked at before another begins
            max_task_retries=0,
            max_concurrency=2,  # the second is for the question how far it is
        )(self._class)
        actor = actor_class.remote(**self._make, threads=needs.cpus, number=self._numbers)
        worker = _Worker(self._numbers, actor, time.monotonic())
        self.workers.append(worker)
        self._refs[actor.state.remote()] = worker, "state"

    def _give(self, worker: _Worker, unit: LabelUnit, tries: int) -> None:
        worker.unit, worker.tries = unit, tries
        self._refs[worker.actor.label.remote(unit)] = worker, "label"

    def _second_try(self, worker: _Worker, none_left: bool) -> tuple[LabelUnit, int, str] | None:
        """A unit that failed on another worker; on this one only where there is no other."""
        for place, (_, _, failed_on) in enumerate(self._again):
            others = [one for one in self.workers if str(one.number) != failed_on]
            if failed_on != str(worker.number) or not others:
                given = self._again[place]
                del self._again[place]
                return given
        return None

    def _wait(self, on_progress: Callable[[list[WorkerState]], None]) -> None:
        ray = self._ray
        done, _ = ray.wait(list(self._refs), num_returns=1, timeout=POLL)
        self._head.check()
        if not done:
            on_progress([one.state for one in self.workers if one.state is not None])
            asked = {id(worker) for worker, what in self._refs.values() if what == "state"}
            for worker in self.workers:
                if worker.state is not None and id(worker) not in asked:
                    self._refs[worker.actor.state.remote()] = worker, "state"
            self._check_placed()
        for ref in done:
            worker, what = self._refs.pop(ref)
            try:
                result = ray.get(ref)
            except ray.exceptions.RayTaskError as error:
                self._failed(worker, what, _said(error.cause or error))
            except ray.exceptions.RayActorError as error:
                self._died(worker, _death(error, worker))
            except ray.exceptions.RayError as error:
                self._head.check(at_once=True)
                self._failed(worker, what, _said(error))
            else:
                if what == "state":
                    worker.state = result
                    self.ready = self.ready or time.monotonic()
                else:
                    self._finished(worker, result)

    def _finished(self, worker: _Worker, outcome: UnitOutcome) -> None:
        if outcome.error and not outcome.disk_full:
            self._failed(worker, "label", outcome.error)
            return
        worker.unit = None
        if outcome.disk_full:
            raise DiskFullError(outcome.error)
        self._on_outcome(outcome)

    def _failed(self, worker: _Worker, what: str, reason: str) -> None:
        """A unit failed: once more on another worker, or for good."""
        unit = worker.unit
        if what == "state" or unit is None:
            if worker.state is None:  # it has not loaded its model
                self._died(worker, reason)
            return
        worker.unit = None
        if worker.tries + 1 < ATTEMPTS:
            self._say(f"{unit}: {reason}; it is tried once more")
            self._again.append((unit, worker.tries, str(worker.number)))
        else:
            self._on_outcome(UnitOutcome(unit, error=reason))

    def _died(self, worker: _Worker, reason: str) -> None:
        """A worker is gone: another takes its place, unless none could load the model."""
        if worker not in self.workers:
            return
        self.workers.remove(worker)
        self._refs = {ref: one for ref, one in self._refs.items() if one[0] is not worker}
        if worker.state is None:
            self._refused.append(reason)
            if not self.workers:
                raise LabellingError(f"no worker can load the model: {reason}{self._advice(reason)}")
            self._say(
                f"worker {worker.number} cannot load the model: {reason}; going on with {len(self.workers)}"
            )
            return
        self._failed(worker, "label", reason)
        self._start()

    def _check_placed(self) -> None:
        """Says once where Ray finds no place for a worker, as in a cluster that others keep busy."""
        if self._told or any(one.state is not None for one in self.workers):
            return
        if all(time.monotonic() - one.began > PLACED_WITHIN for one in self.workers):
            self._told = True
            self._say(
                f"no worker is ready after {PLACED_WITHIN:g} s: the model is still being loaded, or the cluster has no "
                f"room for it now ({self._given()})"
            )

    def _advice(self, reason: str) -> str:
        """What takes less, where a worker had too little."""
        if not any(one in reason.lower() for one in ("memory", "died", "alloc")):
            return ""
        return (
            f" ({self._given()}). It does not fit a worker: fewer --workers, --dtype bfloat16, an engine with fewer "
            "bits, or a smaller model take less"
        )

    def _given(self) -> str:
        needs = self._needs
        memory = f", {needs.memory / 1e9:.1f} GB" if needs.memory else ""
        return f"each has {needs.cpus} cores, {needs.gpus:g} GPUs{memory}"


class _HeadWatch:
    """Notices that the head is gone, before Ray ends this process for it, and that no machine is left.

    Args:
        ray: Of `ray_cluster`.
    """

    def __init__(self, ray: Any) -> None:
        self._ray, self._address = ray, str(ray.get_runtime_context().gcs_address)
        self._seen = time.monotonic()
        self._checked = 0.0

    def check(self, at_once: bool = False) -> None:
        """Looks, at most once a second.

        Raises:
            LabellingError: It has not been there for a while, or no machine is.
        """
        now = time.monotonic()
        if now - self._checked < 1.0 and not at_once:
            return
        self._checked = now
        try:
            _reach(self._address)
        except OSError as error:
            if at_once or now - self._seen > HEAD_TIMEOUT:
                raise LabellingError(
                    f"the head of Ray at {self._address} is gone ({error}){GOES_ON}"
                ) from error
            return
        self._seen = now
        if not any(one.get("Alive", one.get("alive")) for one in self._ray.nodes()):
            raise LabellingError(f"Ray's last machine is gone: its raylet has ended{GOES_ON}")


def _reach(address: str) -> None:
    """Raises OSError where nothing takes a connection; addresses that are no HOST:PORT are left to Ray."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and "://" not in address:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=2.0):
            pass


def _said(error: Any) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]


def _death(error: Any, worker: _Worker) -> str:
    """Why a worker is no more."""
    cause = getattr(error, "cause", None)
    if cause is not None and getattr(cause, "cause", None) is not None:
        return _said(cause.cause)
    text = " ".join(str(error).split())
    if "The actor died because of an error raised in its creation task" in text:
        return text.rsplit("ray::", 1)[-1].split("Error: ", 1)[-1][-400:]
    process = f"process {worker.state.process} on {worker.state.host}" if worker.state else "its process"
    memory = "; Ray ended it, as memory ran out" if "OutOfMemory" in text or "memory pressure" in text else ""
    return f"its worker ({process}) died{memory}: killed from outside, for want of memory, or by a library's fault"
